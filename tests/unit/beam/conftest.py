import pytest


@pytest.fixture(autouse=True)
def _logging_as_it_was(loggers):
    """The command line sets up the process's logging; other tests find it as it was."""
