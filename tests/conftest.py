"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# No test judges time: these machines are shared, and what is slow once is not wrong.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
