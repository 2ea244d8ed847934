"""The processes that run suites: a warm parent that has imported everything, a keeper for each suite, and a child for each grading.

The parent is single-threaded and waits for jobs on the socket that it was started with. It forks a keeper for each suite, which
has pytest collect it once. For each job the keeper forks a child, which runs the suite with nothing but its job: no environment,
no rights (as root: a uid of its own, and no network but the box's), hard limits, and a pipe to report on. The child leads a
session of its own, so that it is killed whole.
"""

import contextlib
import ctypes
import gc
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
from grader.suite.plugin import Run, SuitePlugin

UNUSED_PLUGINS = """cacheprovider terminal junitxml pastebin doctest unittest stepwise setuponly setupplan debugging faulthandler
logging recwarn monkeypatch warnings unraisableexception threadexception legacypath reports tmpdir""".split()  # noqa: SIM905
ARGUMENTS = ["-c/dev/null", "--noconftest", "--assert=plain", "--capture=no", *(f"-pno:{name}" for name in UNUSED_PLUGINS)]
JOB_BYTES_MAX = 1024 * 1024
MEMORY_BYTES = 2 * 1024**3
KEEPERS_MAX = 16
KEEPERS_MAX = 16
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWNET = 0x40000000


def main() -> None:
    """Serves jobs until the grader closes the socket (its number is the only argument)."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _quieten()
    if sys.argv[2:] == ["warm"]:
        _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children reap themselves
    libc = ctypes.CDLL(None, use_errno=True)
    keepers: dict[object, socket.socket] = {}
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, JOB_BYTES_MAX, 2)
        if not data:
            os._exit(0)  # there is nothing to tidy up, and the grader waits for this end
        suite = _fingerprint(msgspec.json.decode(data, type=Job).tests)
        for _ in range(2):
            keeper = keepers.pop(suite, None)
            try:
                keeper = keeper or _fork_keeper([channel.fileno(), *descriptors, *(other.fileno() for other in keepers.values())], libc)
                socket.send_fds(keeper, [data], descriptors)
            except OSError:  # it was killed, and the next one is made for this job; or no process is left: the grader sees its pipe close
                if keeper:
                    keeper.close()
                continue
            keepers[suite] = keeper
            break
        for descriptor in descriptors:
            os.close(descriptor)
        if len(keepers) > KEEPERS_MAX:
            keepers.pop(next(iter(keepers))).close()


def _fingerprint(tests: tuple[str, ...]) -> object:
    """Changes when an author saves the suite."""
    seen = []
    for path in tests:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            seen.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(seen)


def _fork_keeper(not_for_it: list[int], libc: ctypes.CDLL) -> socket.socket:
    """A process that imports one suite once and forks a child for each of its jobs. It closes the descriptors `not_for_it`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    if os.fork() == 0:
        for inherited in (ours.fileno(), *not_for_it):
            os.close(inherited)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _keep(theirs, libc)
    theirs.close()
    return ours


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


def _keep(channel: socket.socket, libc: ctypes.CDLL) -> NoReturn:
    """Collects with the first job's paths, then serves jobs from within pytest's session until the channel is closed."""
    try:
        data, descriptors, _, _ = socket.recv_fds(channel, JOB_BYTES_MAX, 2)
        tests = msgspec.json.decode(data, type=Job).tests
        plugin = SuitePlugin()

        def serve(run: Run) -> None:
            nonlocal data, descriptors
            gc.collect()
            gc.freeze()  # what was imported is shared with the children for good
            while data:
                try:
                    child = os.fork()
                except OSError:  # no process is left: the grader sees the pipe close, and nobody is graded by it
                    child = -1
                if child == 0:
                    channel.close()
                    _child(run, data, descriptors, libc)
                for descriptor in descriptors:
                    os.close(descriptor)
                data, descriptors, _, _ = socket.recv_fds(channel, JOB_BYTES_MAX, 2)
            os._exit(0)

        plugin.serve = serve
        status = pytest.main([*ARGUMENTS, f"--rootdir={Path(tests[0]).parent}", *tests], plugins=[plugin])
        serve(lambda job, emit, drop_rights: emit(Result(defect=f"pytest ended with {status!r}")))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _child(run: Run, data: bytes, descriptors: list[int], libc: ctypes.CDLL) -> NoReturn:
    code = 1
    pipe, *network = descriptors
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

        run(job, emit, lambda: _drop_rights(libc, job.seconds, network))
        emit(Result(complete=True))
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _drop_rights(libc: ctypes.CDLL, seconds: float, network: list[int]) -> None:
    """The author's imports are done, the learner's bytes are still to come."""
    limits = {
        resource.RLIMIT_CPU: int(seconds) + 30,
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: 1024 * 1024,
        resource.RLIMIT_NOFILE: 1024,  # what select(2) can look at
        resource.RLIMIT_CORE: 0,
    }
    for what, limit in limits.items():
        hard = resource.getrlimit(what)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))
    if os.getuid() == 0:
        if network:
            if libc.setns(network[0], CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "the box's network cannot be entered")
            os.close(network[0])
        else:
            libc.unshare(CLONE_NEWNET)  # then a suite speaks through the box's sockets alone
        os.setgroups([])
        os.setresgid(SUITE_UID, SUITE_UID, SUITE_UID)
        os.setresuid(SUITE_UID, SUITE_UID, SUITE_UID)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
