"""Settings of all tests: which tier each belongs to, and in which order and process it runs."""

import logging

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from pmp_runtime import logs

# No test judges time: these machines are shared, and what is slow once is not wrong.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
for name, examples in {"few": 40, "usual": 100, "many": 300}.items():
    settings.register_profile(name, max_examples=examples, **PATIENT)
settings.load_profile("usual")

# `make test` leaves these to `make test-all`, except for one run of the local stack.
REST = ("tests/integration/", "tests/e2e/", "tests/faults/")
FIRST_RUN = "tests/e2e/test_pipeline.py"
# What takes longest begins first, so that no process is left with a long file at the end.
LONGEST = ("tests/e2e/", "tests/integration/beam/", "tests/integration/", "tests/faults/", "tests/contract/")
# A folder whose tests share what takes long to start; elsewhere that is shared within a file.
TOGETHER = ("tests/contract/terraform/",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(REST) and not item.nodeid.startswith(FIRST_RUN):
            item.add_marker("rest")
    items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONGEST])


def pytest_make_parametrize_id(val):
    """Compressed bytes begin with the time: an id of them would differ between processes."""
    return "gzip" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b\x08") else None


class ByFile(LoadScopeScheduling):
    """A process of pytest-xdist gets all tests of a file, or of a folder that stays together."""

    def _split_scope(self, nodeid):
        together = (folder for folder in TOGETHER if nodeid.startswith(folder))
        return next(together, nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """Entry points configure the process's logging; the next test finds it as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for package in logs.OWN_PACKAGES:
        logging.getLogger(package).setLevel(logging.NOTSET)
