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
    """The machine failed while it graded. Never turns into points."""


class EngineGone(SandboxFault):
    """The container engine does not answer; every further submission would fail the same way."""
