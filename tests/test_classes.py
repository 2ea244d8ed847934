"""What lies in a class folder: every submission is found, everything else is said, nothing is followed."""

import os
from pathlib import Path

import pytest

from grader.classes import find_submissions
from grader.errors import SettingsError
from tests import samples

EXERCISES = [samples.exercise(slug="json-echo"), samples.exercise(slug="polite-cpu")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A class in which ada handed in json-echo."""
    (tmp_path / "ada" / "json-echo").mkdir(parents=True)
    return tmp_path


def found(folder: Path) -> list[tuple[str, str, str]]:
    return [(h.learner, h.exercise.slug, h.path.name) for h in find_submissions(folder, EXERCISES)[0]]


def remarks(folder: Path) -> str:
    return "\n".join(find_submissions(folder, EXERCISES)[1])


def test_learners_and_exercises_are_found_in_order(folder: Path) -> None:
    for name in ("zoe/polite-cpu", "zoe/json-echo", "bob/polite-cpu"):
        (folder / name).mkdir(parents=True)

    assert [(who, what) for who, what, _ in found(folder)] == [
        ("ada", "json-echo"),
        ("bob", "polite-cpu"),
        ("zoe", "json-echo"),
        ("zoe", "polite-cpu"),
    ]
    assert remarks(folder) == ""


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tgz", ".ipynb", ".mjs", ".js", ".cjs", ".ts"])
def test_a_file_is_found_by_the_name_before_its_ending(folder: Path, ending: str) -> None:
    (folder / "ada" / f"polite-cpu{ending}").touch()

    assert ("ada", "polite-cpu", f"polite-cpu{ending}") in found(folder)


def test_two_submissions_for_one_exercise_are_both_passed_over_and_said(folder: Path) -> None:
    (folder / "bob" / "json-echo").mkdir(parents=True)
    (folder / "bob" / "json-echo.zip").write_bytes(b"")

    assert found(folder) == [("ada", "json-echo", "json-echo")]
    assert "bob/json-echo.zip: is one of several submissions for json-echo; keep one." in remarks(folder)


@pytest.mark.parametrize("name", ["polite-cpu.rar", "polite-cpu.zip.bak", "polite", "POLITE-CPU", "notes.txt"])
def test_what_is_no_exercise_is_said(folder: Path, name: str) -> None:
    (folder / "ada" / name).touch()

    assert len(found(folder)) == 1
    assert f"ada/{name}: is no exercise" in remarks(folder)


def test_a_folder_with_an_archives_name_is_no_exercise(folder: Path) -> None:
    (folder / "ada" / "polite-cpu.zip").mkdir()

    assert "ada/polite-cpu.zip: is no exercise" in remarks(folder)


def test_hidden_names_are_passed_over_in_silence(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / "ada" / ".DS_Store").touch()

    assert len(found(folder)) == 1
    assert remarks(folder) == ""


def test_a_file_among_the_learners_is_said(folder: Path) -> None:
    (folder / "grades.csv").touch()

    assert "grades.csv: is not a learner's folder" in remarks(folder)


def test_links_are_never_followed(folder: Path) -> None:
    (folder / "eve").symlink_to(folder / "ada")
    (folder / "ada" / "polite-cpu").symlink_to("/etc")
    (folder / "ada" / "polite-cpu.mjs").symlink_to("/etc/passwd")

    assert found(folder) == [("ada", "json-echo", "json-echo")]
    assert "eve: is not a learner's folder" in remarks(folder)
    assert "ada/polite-cpu: is no exercise" in remarks(folder)


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nb", "a\u202eb", "\u200b", "x" * 101, "a\x9bb", "caf\udce9"])
def test_a_learners_name_that_cannot_be_shown_is_passed_over_and_said_safely(folder: Path, name: str) -> None:
    os.makedirs(os.fsencode(folder) + b"/" + os.fsencode(name) + b"/json-echo")

    assert [who for who, _, _ in found(folder)] == ["ada"]
    assert "a learner's name must be printable" in remarks(folder)
    assert remarks(folder).isprintable()


@pytest.mark.parametrize("name", ["Åsa Ö", "李雷", "O'Brien", "=1+1", "<b>x", "[red]x"])
def test_a_learners_name_in_any_language_is_kept(folder: Path, name: str) -> None:
    (folder / name / "json-echo").mkdir(parents=True)

    assert (name, "json-echo", "json-echo") in found(folder)


def test_the_name_of_a_stray_file_is_said_safely(folder: Path) -> None:
    (folder / "ada" / "x\x1b]0;y\x07").touch()

    assert remarks(folder).isprintable()


def test_a_class_that_is_no_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        find_submissions(tmp_path / "gone", EXERCISES)

    assert "is not a folder" in str(caught.value)
    assert "DIR/<learner>/<exercise>/" in str(caught.value)


def test_a_class_without_submissions_is_explained(tmp_path: Path) -> None:
    (tmp_path / "ada" / "notes").mkdir(parents=True)

    with pytest.raises(SettingsError) as caught:
        find_submissions(tmp_path, EXERCISES)

    assert "holds no submission" in str(caught.value)
