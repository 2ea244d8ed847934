"""Errors of Python that mean "this machine has nothing left" become a fault of the machine; all others stay what they are."""

import errno
import os

import pytest

from grader.errors import exhausted


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.EROFS])
def test_a_machine_without_room_files_memory_or_processes_is_said_with_what_to_do(number: int) -> None:
    fault = exhausted(OSError(number, os.strerror(number), "/tmp/looplab-0/g1"))

    assert f"{os.strerror(number)} (/tmp/looplab-0/g1)" in str(fault)
    assert "run the same command again" in str(fault)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread"), OSError(errno.ENOSPC, "No space left on device")])
def test_what_names_no_file_is_said_without_one(error: Exception) -> None:
    fault = str(exhausted(error))

    assert fault.startswith("This machine ran out of something that gradings need: ")
    assert "None" not in fault


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "No such file"), RuntimeError("a bug"), ValueError(), OSError("no number")]
)
def test_other_errors_are_bugs_and_stay_errors(error: Exception) -> None:
    assert exhausted(error) is None
