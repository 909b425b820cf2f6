"""Settings of all tests."""

import logging

import pytest
from hypothesis import HealthCheck, settings

from pmp_runtime import logs

# No test judges time: these machines are shared, and what is slow once is not wrong.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture
def loggers():
    """Puts the process's logging back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for package in logs.OWN_PACKAGES:
        logging.getLogger(package).setLevel(logging.NOTSET)
