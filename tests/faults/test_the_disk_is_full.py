"""The disk of the run directory or of the database is full and later has room again: real small disks, mounted by the tests."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.runs import LOOPLAB, Outcome, Place, assert_none_wrong, assert_same_command_finishes, hand_in, next_report

pytestmark = [pytest.mark.docker, pytest.mark.siege]


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A disk of its own at `folder`, with its mode."""
    folder.mkdir(exist_ok=True)
    mode = f"{folder.stat().st_mode & 0o777:o}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode={mode}", "looplab-small", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def grow(folder: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Takes all room at once, and whatever becomes free after that; gives it back at the end."""
    path, ended = folder / "filler", threading.Event()

    def fill() -> None:
        with path.open("ab", buffering=0) as filler:
            while True:
                with contextlib.suppress(OSError):
                    while filler.write(bytes(512)):
                        pass
                if ended.wait(0.001):
                    return

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        path.unlink()


def test_a_submission_that_the_run_directory_has_no_room_for_ends_the_run_with_a_sentence(
    place: Place, undisturbed: dict[str, Outcome]
) -> None:
    (place.folder / "margaret" / "json-echo" / "cities.txt").write_text("Reykjavík\n" * 20_000)
    with small_disk(place.run_dir, kilobytes=128):
        short = place.run("--parallel", "1")
        saved = place.graded()
        assert_none_wrong(place, undisturbed)

        assert short.returncode == 3
        assert "No space left on device" in short.stderr
        assert "un the same command again" in short.stderr
        assert "Traceback" not in short.stderr
        assert 1 <= len(saved) < len(undisturbed)
        grow(place.run_dir, kilobytes=4096)
        assert_same_command_finishes(place, undisturbed)


def test_a_run_directory_that_fills_up_in_the_middle_costs_nobody_a_grade(place: Place, undisturbed: dict[str, Outcome]) -> None:
    with small_disk(place.run_dir, kilobytes=256):
        with place.running("--parallel", "2") as process:
            next_report(process)
            with filled(place.run_dir):
                _, errors = process.communicate(timeout=100)
        assert_none_wrong(place, undisturbed)

        assert "Traceback" not in errors
        if process.returncode != 1:  # the room of one submission may be just what the next one needs
            assert process.returncode == 3
            assert "No space left on device" in errors
            assert "un the same command again" in errors
        assert_same_command_finishes(place, undisturbed)


def test_a_database_without_room_is_said_and_what_it_could_not_keep_does_not_count(place: Place, undisturbed: dict[str, Outcome]) -> None:
    with small_disk(place.data, kilobytes=512):
        with place.running("--parallel", "2") as process:
            first = next_report(process)
            with filled(place.data):
                others, errors = process.communicate(timeout=100)
        saved = place.graded()
        told = [line for line in [first, *others.splitlines()] if line]
        assert_none_wrong(place, undisturbed)

        assert process.returncode == 3
        assert "could not keep the report" in errors
        assert f"{len(saved)} of {len(undisturbed)} are graded and saved. Run the same command again" in errors
        assert "Traceback" not in errors
        assert len(told) == len(saved)
        assert_same_command_finishes(place, undisturbed)


def test_a_single_report_that_cannot_be_kept_is_said_and_not_shown_as_graded(tmp_path: Path, run_dir: Path) -> None:
    place = Place(hand_in(tmp_path / "class", {"nobody": None}), run_dir, tmp_path / "data")
    command = [LOOPLAB, "grade", "--json", "--exercise", "json-echo", str(place.folder / "nobody" / "json-echo")]
    with small_disk(place.data, kilobytes=64):
        place.run()
        with filled(place.data):
            done = subprocess.run(command, env=place.env, capture_output=True, text=True, check=False, timeout=100)
        kept = place.rows()

    assert done.returncode == 3
    assert "could not keep the report" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert len(kept) == 1
