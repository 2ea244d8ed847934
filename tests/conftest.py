"""What every test shares: hypothesis tries the same examples in every run, and no machine is too slow for it."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "looplab", derandomize=True, database=None, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("looplab")

# Commands that tests interrupt inherit this: a shell that runs pytest in the background has Ctrl-C ignored in all its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
