"""Looplab: an exercise grader for Node.js backend work. `DESIGN` in one line: Exercise -> Submission -> Sandbox -> Suite -> Report."""

__version__ = "0.1.0"
