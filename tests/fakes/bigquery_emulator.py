"""The BigQuery emulator as the local stack starts it, on free ports, with what a test needs of its REST side."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pmp_schema.tables import Table
from tests.fakes.server_process import free_port


@dataclass(frozen=True)
class BigQueryEmulator:
    """Addresses of a running emulator: `rest` is a URL, `grpc` is `host:port`."""

    rest: str
    grpc: str
    project: str = "pmp-test"

    def call(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """GET, or POST where there is a body; `path` starts below the project."""
        request = urllib.request.Request(
            f"{self.rest}/bigquery/v2/projects/{self.project}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)

    def create_table(self, table: Table, table_id: str) -> str:
        """Create the table (its dataset exists) and return its resource path."""
        reference = {"projectId": self.project, "datasetId": table.dataset, "tableId": table_id}
        body = {"tableReference": reference, "schema": {"fields": table.api_schema()}}
        self.call(f"/datasets/{table.dataset}/tables", body)
        return f"projects/{self.project}/datasets/{table.dataset}/tables/{table_id}"

    def change_table(self, table: Table, table_id: str, statement: str) -> None:
        """ALTER the table, and tell the catalogue its new schema: the emulator (1.4) does neither with the other."""
        self.query(statement)
        body = {"schema": {"fields": table.api_schema()}}
        self.call(f"/datasets/{table.dataset}/tables/{table_id}", body, "PATCH")

    def create_dataset(self, dataset: str) -> None:
        self.call("/datasets", {"datasetReference": {"projectId": self.project, "datasetId": dataset}})

    def query(self, sql: str) -> list[list[Any]]:
        """Rows of a query's first page as lists of the API's values."""
        answer = self.call("/queries", {"query": sql, "useLegacySql": False, "timeoutMs": 20_000})
        return [[cell["v"] for cell in row["f"]] for row in answer.get("rows", [])]


@contextmanager
def bigquery_emulator(start_s: float = 60) -> Iterator[BigQueryEmulator]:
    """Start an emulator, yield it when it answers, stop it."""
    rest_port, grpc_port = free_port(), free_port()
    ports = [f"--rest-port={rest_port}", f"--grpc-port={grpc_port}"]
    command = [sys.executable, "-m", "pmpctl.local.bigquery_emulator", *ports, "--project=pmp-test"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        emulator = BigQueryEmulator(f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{grpc_port}")
        _await_answer(emulator, process, start_s)
        yield emulator
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _await_answer(emulator: BigQueryEmulator, process: subprocess.Popen[bytes], start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the emulator ended with {process.returncode}")
        try:
            emulator.call("/datasets")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the emulator did not answer in time")
