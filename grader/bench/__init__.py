"""The benchmark: every figure beside its baseline, measured in the same run on the same machine.

`sections` lists what is measured, one module each; `run` holds what came of it; `page` and `plots` show it and measure nothing.
"""
