"""The processes that run suites: a warm parent that has imported everything, and one child of it for each grading.

The parent is single-threaded and waits for jobs on the socket that it was started with. A child runs one suite with nothing but
its job: no environment, no rights (as root: a uid of its own and an empty network namespace), hard limits, and a pipe to report
on. It leads a session of its own, so that it is killed whole.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from grader.sandbox.workplace import SUITE_UID
from grader.suite.job import Job, Result
from grader.suite.plugin import SuitePlugin

UNUSED_PLUGINS = """cacheprovider terminal junitxml pastebin doctest unittest stepwise setuponly setupplan debugging faulthandler
logging recwarn monkeypatch warnings unraisableexception threadexception legacypath reports tmpdir""".split()  # noqa: SIM905
ARGUMENTS = ["-c/dev/null", "--noconftest", "--assert=plain", "--capture=no", *(f"-pno:{name}" for name in UNUSED_PLUGINS)]
JOB_BYTES_MAX = 1024 * 1024
MEMORY_BYTES = 2 * 1024**3
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWNET = 0x40000000


def main() -> None:
    """Serves jobs until the grader closes the socket (its number is the only argument)."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _quieten()
    if sys.argv[2:] == ["warm"]:
        _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children reap themselves
    libc = ctypes.CDLL(None)
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, JOB_BYTES_MAX, 1)
        if not data:
            os._exit(0)  # there is nothing to tidy up, and the grader waits for this end
        if os.fork() == 0:
            channel.close()
            _child(data, descriptors[0], libc)
        os.close(descriptors[0])


def _quieten() -> None:
    """Suites that print must not spoil the grader's own output."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    os.environ.clear()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = True


def _warm_up() -> None:
    """One passing and one failing check without a server: everything that a run imports late is imported now."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_warm.py"
        path.write_text("def test_pass(): pass\ndef test_fail(): assert {}['x']\n")
        with contextlib.suppress(SystemExit):
            pytest.main([*ARGUMENTS, f"--rootdir={folder}", str(path)])
    for name in ("idna", "utf_8", "latin_1", "ascii", "cp437", "punycode"):
        __import__(f"encodings.{name}")


def _child(data: bytes, pipe: int, libc: ctypes.CDLL) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.chdir("/")  # the caller's folder may be closed to the user that the suite becomes
        os.write(pipe, f"{os.getpid()}\n".encode())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        job = msgspec.json.decode(data, type=Job)

        def emit(result: Result) -> None:
            line = msgspec.json.encode(result) + b"\n"
            while line:
                line = line[os.write(pipe, line) :]

        plugin = SuitePlugin(job, emit)
        plugin.before_run = lambda: _drop_rights(libc, job.seconds)
        status = pytest.main([*ARGUMENTS, f"--rootdir={Path(job.tests[0]).parent}", *job.tests], plugins=[plugin])
        if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            emit(Result(defect=f"pytest ended with {status!r}"))
        emit(Result(complete=True))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _drop_rights(libc: ctypes.CDLL, seconds: float) -> None:
    limits = {
        resource.RLIMIT_CPU: int(seconds) + 30,
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: 1024 * 1024,
        resource.RLIMIT_NOFILE: 2048,
        resource.RLIMIT_CORE: 0,
    }
    for what, limit in limits.items():
        hard = resource.getrlimit(what)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))
    if os.getuid() == 0:
        libc.unshare(CLONE_NEWNET)  # a suite speaks through the box's sockets alone
        os.setgroups([])
        os.setresgid(SUITE_UID, SUITE_UID, SUITE_UID)
        os.setresuid(SUITE_UID, SUITE_UID, SUITE_UID)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
