"""Starts the process that runs suites. Light on purpose: it takes longest to come up, so it is started before anything else is imported."""

import socket
import subprocess
import sys
from typing import NamedTuple

# Without the garbage collector: importing makes objects that stay, and looking through them again and again costs a tenth of it.
START = "import gc; gc.disable(); from grader.suite import process; gc.freeze(); gc.enable(); process.main()"


class Started(NamedTuple):
    process: "subprocess.Popen[bytes]"
    channel: socket.socket


def start_suite_process(*, warm: bool) -> Started:
    """`warm`: it also runs an empty suite first, which pays when it will run more than one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(theirs.fileno()), *(["warm"] if warm else [])],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is the grader's to handle
    )
    theirs.close()
    return Started(process, ours)
