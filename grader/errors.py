"""Whose fault is it? Every error that Looplab raises on purpose answers that question.

LooplabError
├── SettingsError        the operator's: a setting or a command that cannot work       exit code 2
├── ExerciseError        the author's: an exercise or its suite is wrong               exit code 2
├── LessonError          the author's: a lesson or the course's list is wrong          exit code 2
├── SubmissionRejected   the learner's: the submission cannot be read                  a Report, verdict `rejected`
└── SandboxFault         our machine's: nobody is to blame, try again                  a Report, verdict `not_graded`
    └── EngineGone       the container engine does not answer: stop, do not go on      exit code 3

A server that does not start, or that fails checks, is no error: it is data in the Report.
"""

import errno

EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS, errno.EIO, errno.EROFS}


class LooplabError(Exception):
    """Base of all of them. The text is a sentence for a person: what, where, and what to do."""


class SettingsError(LooplabError):
    """The operator asked for something that cannot work."""


class ExerciseError(LooplabError):
    """An exercise's files contradict themselves or the format."""


class LessonError(LooplabError):
    """A lesson's source, or course.toml, contradicts itself or the format."""


class SubmissionRejected(LooplabError):
    """A submission that cannot be read at all: too big, no entry file, a path that leads out of it."""


class SandboxFault(LooplabError):
    """The machine failed while it graded. Never turns into points.

    The text stands in the learner's report, so it names nothing of this machine; `detail` is for the operator and the author.
    """

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail


class EngineGone(SandboxFault):
    """The container engine does not answer; every further submission would fail the same way."""


def exhausted(error: Exception) -> SandboxFault | None:
    """The fault behind an error of Python that says: no room, open files, memory or processes are left. None for any other error."""
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        what = f"{error.strerror} ({error.filename})" if error.filename else f"{error.strerror}"
    elif isinstance(error, MemoryError) or "can't start new thread" in str(error):
        what = str(error) or "no memory is left"
    else:
        return None
    return SandboxFault(f"This machine ran out of something that gradings need: {what}. Make room, then run the same command again.")
