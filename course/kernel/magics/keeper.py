"""The keeper of one program: starts it, signals it, says how it ended, and ends it when the kernel is gone, however that went.

Runs as `python -I -S keeper.py REPORT PROGRAM ARGUMENT…`, where REPORT is the number of a pipe to write to. It says there
`started PID` or `failed ERRNO`, and later `ended STATUS MAXRSS_KB MILLISECONDS` (STATUS as of wait(2)). Every byte on its standard
input is the number of a signal for the program's process group; the end of that input means that the kernel is gone.

Why a process in between:
- The kernel may be killed with SIGKILL and cannot tidy up then; the end of a pipe cannot be missed. Linux's PR_SET_PDEATHSIG would
  fire when the *thread* that started the program ends, reaches the program but not its children, and needs code between fork and exec.
- A process's peak memory starts with that of the process that started it (exec keeps it), and a Jupyter kernel is larger than
  a small Node program. This one has about 8 MB.
- Only the parent knows for sure that a process id is still the program's. So nobody else sends signals.

It imports as little as it can: this is a part of the time that every program takes to start.
"""

import os
import signal
import sys
import time
from select import select


def main() -> None:
    report, program = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(report, False)
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    tell, hear = os.pipe()[::-1]  # closed by exec; carries the error when there is none
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(program[0], program)
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or 0))
        finally:
            os._exit(127)
    os.close(tell)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # or the readers of the program's output would wait for us
        os.dup2(nothing, stream)
    trouble = os.read(hear, 20)
    _say(report, b"failed " + trouble if trouble else b"started %d" % child)
    kernel_lives = True
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        readable, _, _ = select([bell, 0] if kernel_lives else [bell], [], [])
        if bell in readable:
            os.read(bell, 4096)
        if 0 in readable:
            orders = os.read(0, 4096)
            kernel_lives = bool(orders)
            for order in orders or b"\x09":  # SIGKILL
                _kill(child, order)
    took = time.monotonic() - began
    _kill(child, signal.SIGKILL)  # what it has left; its id is still its own, as nobody has asked for its status yet
    _, status, usage = os.wait4(child, 0)
    kilobytes = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    _say(report, b"ended %d %d %d" % (status, kilobytes, took * 1000))


def _kill(group: int, number: int) -> None:
    try:  # noqa: SIM105 (contextlib takes long to import)
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError, ValueError):  # gone already; a zombie, on macOS; no signal at all
        pass


def _say(report: int, line: bytes) -> None:
    try:  # noqa: SIM105
        os.write(report, line + b"\n")
    except BrokenPipeError:
        pass


if __name__ == "__main__":
    main()
