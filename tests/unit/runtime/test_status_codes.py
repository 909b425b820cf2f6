import pytest
from grpc import StatusCode

from pmp_runtime.bigquery.append.results import ACTIONS, Action, code_of


def test_every_code_has_an_action():
    assert set(ACTIONS) == set(StatusCode)


def test_only_success_accepts_and_only_an_invalid_argument_blames_rows():
    assert [code for code, action in ACTIONS.items() if action is Action.ACCEPT] == [StatusCode.OK]
    assert [code for code, action in ACTIONS.items() if action is Action.ISOLATE] == [
        StatusCode.INVALID_ARGUMENT
    ]


@pytest.mark.parametrize("code", StatusCode)
def test_numbers_of_the_wire_are_the_codes(code):
    assert code_of(code.value[0]) is code


def test_a_number_that_grpc_does_not_define_is_unknown():
    assert code_of(99) is StatusCode.UNKNOWN
