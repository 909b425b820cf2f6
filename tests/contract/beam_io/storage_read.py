"""BigQuery's Storage Read API as a strict gRPC server on loopback: streams of given batches, resumable by offset."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1.types import (
    CreateReadSessionRequest,
    ReadRowsRequest,
    ReadRowsResponse,
    ReadSession,
)
from grpc import StatusCode

_SESSION = "projects/p/locations/l/sessions/s"


@dataclass(frozen=True)
class Fault:
    """End a call with a code, after it has given so many batches."""

    code: StatusCode
    after: int = 0


@dataclass
class StorageReadServer:
    """The fake.

    Attributes:
        streams: the batches of each stream of the one session.
        session_faults: codes of the next CreateReadSession calls.
        faults: of the next ReadRows calls, one each; None lets one through.
        sessions: requests for sessions.
        reads: (stream's number, offset) of the ReadRows calls.
    """

    schema: pa.Schema
    streams: list[list[pa.RecordBatch]]
    session_faults: deque[StatusCode] = field(default_factory=deque)
    faults: deque[Fault | None] = field(default_factory=deque)
    sessions: list[CreateReadSessionRequest] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    address: str = ""

    def __enter__(self) -> "StorageReadServer":
        self._server = grpc.server(ThreadPoolExecutor(8))
        handlers = {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                self._create,
                CreateReadSessionRequest.deserialize,
                ReadSession.serialize,
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                self._read, ReadRowsRequest.deserialize, ReadRowsResponse.serialize
            ),
        }
        service = "google.cloud.bigquery.storage.v1.BigQueryRead"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait(5)

    def _create(self, request: CreateReadSessionRequest, context: grpc.ServicerContext) -> ReadSession:
        self.sessions.append(request)
        if self.session_faults:
            context.abort(self.session_faults.popleft(), "told to fail")
        return ReadSession(
            name=_SESSION,
            arrow_schema={"serialized_schema": self.schema.serialize().to_pybytes()},
            streams=[{"name": f"{_SESSION}/streams/{number}"} for number in range(len(self.streams))],
        )

    def _read(self, request: ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[Any]:
        number = int(request.read_stream.rsplit("/", 1)[-1])
        self.reads.append((number, request.offset))
        fault = self.faults.popleft() if self.faults else None
        rows = pa.Table.from_batches(self.streams[number], self.schema).slice(request.offset)
        for sent, batch in enumerate(rows.to_batches()):
            if fault is not None and fault.after == sent:
                break
            yield ReadRowsResponse(
                arrow_record_batch={"serialized_record_batch": batch.serialize().to_pybytes()},
                row_count=batch.num_rows,
            )
        if fault is not None:
            context.abort(fault.code, "told to fail")
