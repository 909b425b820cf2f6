"""What BigQuery says of an append."""

import re
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.cloud.bigquery_storage_v1.types import StorageError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from pmp_runtime.bigquery.append.status_codes import code_of

_StorageErrorMessage: Final[Any] = StorageError.pb()
_SCHEMA_MISMATCH: Final = int(StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS)
# A column of another type has no code of its own, only words.
_SCHEMA_TEXT: Final = re.compile(
    r"mismatched with BigQuery field|more fields than BigQuery schema|schema mismatch", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
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


def answer_of(response: Any) -> Answer:
    """What an `AppendRowsResponse` message says of its request."""
    error = response.error
    storage_error = _storage_error(error)
    return Answer(
        code=code_of(error.code),
        message=error.message,
        row_errors=tuple((error.index, error.message) for error in response.row_errors),
        about_table=storage_error not in {0, _SCHEMA_MISMATCH},
        about_schema=_about_schema(storage_error, error.message),
    )


def final_answer(error: grpc.RpcError) -> Answer:
    """What the end of a call says of the request that it ended."""
    status = Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    message = error.details() or ""
    storage_error = _storage_error(status)
    return Answer(
        code=error.code(),
        message=message,
        about_table=storage_error not in {0, _SCHEMA_MISMATCH},
        about_schema=_about_schema(storage_error, message),
        ended_call=True,
    )
