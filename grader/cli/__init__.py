"""The command `looplab`: parse, call one function, render, exit code.

0 full points (or the job is done) · 1 less than full points · 2 the command, a setting or an exercise is wrong · 3 our machine
failed and something is not graded · 130 interrupted · 143 terminated.
"""

import sys

from grader.warm import Started, start_suite_process


def main() -> None:
    """Entry point. A learner's check is to take half a second, so what takes longest starts before anything else is imported."""
    started: Started | None = None
    if sys.argv[1:2] == ["check"] and not {"-h", "--help"} & set(sys.argv):
        started = start_suite_process(warm="--watch" in sys.argv)
    from grader.cli.root import run

    try:
        sys.exit(run(started))
    finally:
        if started:
            started.channel.close()  # its sign to leave
