"""What BigQuery answered to an append, and what its status code means for the rows."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

import grpc
from google.cloud.bigquery_storage_v1.types import StorageError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]


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
        grpc.StatusCode.OK: Action.ACCEPT,
        grpc.StatusCode.INVALID_ARGUMENT: Action.ISOLATE,
        grpc.StatusCode.UNAVAILABLE: Action.REOPEN,
        grpc.StatusCode.INTERNAL: Action.REOPEN,
        grpc.StatusCode.ABORTED: Action.REOPEN,  # also how an idle connection ends
        grpc.StatusCode.CANCELLED: Action.REOPEN,
        grpc.StatusCode.UNKNOWN: Action.REOPEN,
        grpc.StatusCode.DEADLINE_EXCEEDED: Action.REOPEN,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Action.WAIT,
        grpc.StatusCode.NOT_FOUND: Action.WAIT,
        grpc.StatusCode.PERMISSION_DENIED: Action.WAIT,
        grpc.StatusCode.UNAUTHENTICATED: Action.WAIT,
        grpc.StatusCode.FAILED_PRECONDITION: Action.WAIT,
        grpc.StatusCode.UNIMPLEMENTED: Action.WAIT,
        grpc.StatusCode.DATA_LOSS: Action.WAIT,
        # Codes of offsets, which the default stream does not take.
        grpc.StatusCode.ALREADY_EXISTS: Action.WAIT,
        grpc.StatusCode.OUT_OF_RANGE: Action.WAIT,
    }
)

_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}


def code_of(number: int) -> grpc.StatusCode:
    """The code of a `google.rpc.Status`; numbers that gRPC does not define are UNKNOWN."""
    return _BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)


_StorageErrorMessage: Final[Any] = StorageError.pb()
_SCHEMA_MISMATCH: Final = int(StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS)
# A column of another type has no code of its own, only words.
_SCHEMA_TEXT: Final = re.compile(
    r"mismatched with BigQuery field|more fields than BigQuery schema|schema mismatch", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AppendResult:
    """What became of one request.

    Attributes:
        code: OK when its rows are durable; nothing of it was appended otherwise.
        row_errors: (position in the request, message), possibly incomplete.
        about_table: the error names the table, its key or the stream: no row is at fault.
        about_schema: the error says that the writer schema does not fit the table's.
        ended_call: the server ended the whole call instead of answering the request.
    """

    code: grpc.StatusCode
    message: str = ""
    row_errors: tuple[tuple[int, str], ...] = ()
    about_table: bool = False
    about_schema: bool = False
    ended_call: bool = False


def _storage_error(status: Status) -> int:
    for detail in status.details:
        error = _StorageErrorMessage()
        if detail.Unpack(error):
            return int(error.code)
    return 0


def _about_schema(storage_error: int, message: str) -> bool:
    return storage_error == _SCHEMA_MISMATCH or bool(_SCHEMA_TEXT.search(message))


def result_of(response: Any) -> AppendResult:
    """What an `AppendRowsResponse` message says of its request."""
    error = response.error
    storage_error = _storage_error(error)
    return AppendResult(
        code=code_of(error.code),
        message=error.message,
        row_errors=tuple((error.index, error.message) for error in response.row_errors),
        about_table=storage_error not in {0, _SCHEMA_MISMATCH},
        about_schema=_about_schema(storage_error, error.message),
    )


def final_result(error: grpc.RpcError) -> AppendResult:
    """What the end of a call says of the request that it ended."""
    status = Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    message = error.details() or ""
    storage_error = _storage_error(status)
    return AppendResult(
        code=error.code(),
        message=message,
        about_table=storage_error not in {0, _SCHEMA_MISMATCH},
        about_schema=_about_schema(storage_error, message),
        ended_call=True,
    )
