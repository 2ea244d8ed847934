"""Settings come from the environment, once, and one that cannot work is named."""

import os
from pathlib import Path

import pytest

from grader.errors import SettingsError
from grader.settings import read_settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "common-contract.md").touch()
    return tmp_path


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    return str(caught.value)


def test_what_is_not_set_is_filled_in(home: Path) -> None:
    settings = read_settings({"LOOPLAB_HOME": str(home)})

    assert settings.exercises == home / "exercises"
    assert settings.data == home / ".looplab"
    assert settings.database_url == f"sqlite:///{home}/.looplab/looplab.db"
    assert settings.run_dir.name == f"looplab-{os.getuid()}"
    assert settings.image_base == "auto"
    assert settings.node.name == "node"


def test_what_is_set_holds(home: Path) -> None:
    chosen = {
        "LOOPLAB_DATA": "/data",
        "LOOPLAB_RUN_DIR": "/run/l",
        "LOOPLAB_NODE": "/bin/node",
        "LOOPLAB_IMAGE_BASE": "wheel",
        "LOOPLAB_DATABASE_URL": "sqlite://",
    }

    settings = read_settings({"LOOPLAB_HOME": str(home), **chosen})

    assert [str(settings.data), str(settings.run_dir), str(settings.node)] == ["/data", "/run/l", "/bin/node"]
    assert (settings.image_base, settings.database_url) == ("wheel", "sqlite://")


def test_an_empty_variable_is_one_that_is_not_set(home: Path) -> None:
    names = ("DATA", "RUN_DIR", "NODE", "IMAGE_BASE", "DATABASE_URL")

    empty = read_settings({"LOOPLAB_HOME": str(home), **{f"LOOPLAB_{name}": "" for name in names}})

    assert empty == read_settings({"LOOPLAB_HOME": str(home)})


def test_the_database_lies_with_the_data(home: Path) -> None:
    assert read_settings({"LOOPLAB_HOME": str(home), "LOOPLAB_DATA": "/data"}).database_url == "sqlite:////data/looplab.db"


def test_home_is_found_from_a_folder_inside_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(home / "a" / "b")

    assert read_settings({}).home == home


def test_home_is_the_project_when_nothing_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert (read_settings({}).home / "grader" / "settings.py").is_file()


def test_a_home_without_exercises_is_refused(tmp_path: Path) -> None:
    said = refusal({"LOOPLAB_HOME": str(tmp_path)})

    assert "LOOPLAB_HOME" in said
    assert str(tmp_path) in said
    assert "`exercises`" in said


@pytest.mark.parametrize("name", ["x" * 60, "é" * 30])
def test_a_run_dir_that_is_too_long_for_sockets_is_refused_by_its_bytes(home: Path, name: str) -> None:
    said = refusal({"LOOPLAB_HOME": str(home), "LOOPLAB_RUN_DIR": f"/{name}"})

    assert "LOOPLAB_RUN_DIR" in said
    assert "60 bytes" in said


@pytest.mark.parametrize("value", ["magic", "Auto", "auto ", "auto\n", "registry|wheel"])
def test_an_unknown_image_base_is_refused_with_the_known_ones(home: Path, value: str) -> None:
    said = refusal({"LOOPLAB_HOME": str(home), "LOOPLAB_IMAGE_BASE": value})

    assert f'"{value}"' in said
    assert "auto, registry or wheel" in said
