"""A Jupyter kernel for real Node: Python speaks Jupyter, a Node process evaluates the cells. See site/docs/reference/kernel.md."""
