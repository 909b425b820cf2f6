import pytest

from tests.fakes.duck_warehouse import Duck


@pytest.fixture(scope="module")
def shared_duck():
    return Duck()


@pytest.fixture
def duck(shared_duck):
    shared_duck.empty()
    return shared_duck
