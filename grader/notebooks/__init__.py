"""Notebooks: lessons built and run from their sources, the learner's workspace, and the bridge to nbgrader."""
