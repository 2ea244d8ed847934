"""What every test shares: hypothesis tries the same examples in every run, and no machine is too slow for it."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "looplab", derandomize=True, database=None, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("looplab")
