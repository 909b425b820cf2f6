"""The command line sets up the process's logging; other tests find it as it was."""

import logging

import pytest

from pmp_schema import logs


@pytest.fixture(autouse=True)
def _loggers():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for package in logs.OWN_PACKAGES:
        logging.getLogger(package).setLevel(logging.NOTSET)
