"""What BigQuery's status codes mean for the rows of an append: one table."""

from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from grpc import StatusCode


class Action(Enum):
    """What the appender does about a code.

    ACCEPT: the rows are durable.
    ISOLATE: a row may be at fault: find it, append the others.
    REOPEN: where it ended the connection, open another and send the rows once more; else as WAIT.
    WAIT: SinkUnavailable; the rows are not at fault and sending them again at once would not help.
    """

    ACCEPT = auto()
    ISOLATE = auto()
    REOPEN = auto()
    WAIT = auto()


ACTIONS: Final = MappingProxyType(
    {
        StatusCode.OK: Action.ACCEPT,
        StatusCode.INVALID_ARGUMENT: Action.ISOLATE,
        StatusCode.UNAVAILABLE: Action.REOPEN,
        StatusCode.INTERNAL: Action.REOPEN,
        StatusCode.ABORTED: Action.REOPEN,  # also how an idle connection ends
        StatusCode.CANCELLED: Action.REOPEN,
        StatusCode.UNKNOWN: Action.REOPEN,
        StatusCode.DEADLINE_EXCEEDED: Action.REOPEN,
        StatusCode.RESOURCE_EXHAUSTED: Action.WAIT,
        StatusCode.NOT_FOUND: Action.WAIT,
        StatusCode.PERMISSION_DENIED: Action.WAIT,
        StatusCode.UNAUTHENTICATED: Action.WAIT,
        StatusCode.FAILED_PRECONDITION: Action.WAIT,
        StatusCode.UNIMPLEMENTED: Action.WAIT,
        StatusCode.DATA_LOSS: Action.WAIT,
        # Codes of offsets, which the default stream does not take.
        StatusCode.ALREADY_EXISTS: Action.WAIT,
        StatusCode.OUT_OF_RANGE: Action.WAIT,
    }
)

_BY_NUMBER: Final = {code.value[0]: code for code in StatusCode}


def code_of(number: int) -> StatusCode:
    """The code of a `google.rpc.Status`; numbers that gRPC does not define are UNKNOWN."""
    return _BY_NUMBER.get(number, StatusCode.UNKNOWN)
