"""A plain child process on this machine: for a learner's own code, which that learner trusts. No wall of any kind."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.errors import SandboxFault
from grader.exercise import Limits
from grader.sandbox import Box, SandboxName
from grader.sandbox.link import Link
from grader.sandbox.workplace import Workplace, lay_in
from grader.submission import Submission

SUPERVISOR = Path(__file__).with_name("supervisor.mjs")
OPEN_SECONDS = 10.0


class LocalSandbox:
    """Runs the supervisor, and below it the learner's server, as ordinary processes of this user."""

    name: SandboxName = "local"

    def __init__(self, node: Path, packages: Path, workplace: Workplace, *, i_trust_this_code: bool) -> None:
        if not i_trust_this_code:
            raise ValueError("LocalSandbox has no walls: pass i_trust_this_code=True only for a learner's own code")
        if not node.is_file():
            raise SandboxFault(f"There is no Node at {node}. Run `make setup`, or set LOOPLAB_NODE.")
        self._node, self._packages, self._workplace = node, packages, workplace

    def __enter__(self) -> "LocalSandbox":
        return self

    def __exit__(self, *_: object) -> None:
        """It keeps nothing."""

    @contextmanager
    def open(self, submission: Submission, limits: Limits, packages: tuple[str, ...]) -> Iterator[Box]:
        """The limits on memory, processes and CPU do not hold here; the limit on time does."""
        with self._workplace.box_folder() as folder:
            lay_in(folder, submission, packages, self._packages)
            temp = folder / "tmp"
            temp.mkdir()
            box = {"dir": str(folder / "s"), "app": str(folder / "srv" / "app"), "temp": str(temp)}
            supervisor = subprocess.Popen(
                [self._node, SUPERVISOR],
                env={"LOOPLAB_BOX": json.dumps(box), "PATH": os.environ.get("PATH", "")},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            link = Link(folder / "s")
            try:
                link.open(time.monotonic() + OPEN_SECONDS)
                link.prepare(submission)
                yield Box(link, str(temp), box["app"], None)
            finally:
                link.close()
                assert supervisor.stdin is not None
                supervisor.stdin.close()  # its signal to kill the learner's processes and leave
                try:
                    supervisor.wait(OPEN_SECONDS)
                except subprocess.TimeoutExpired:
                    supervisor.kill()
                    supervisor.wait()

    def ran_out_of_memory(self, box: Box) -> bool:
        return False
