"""BigQuery's datasets and tables as its REST API keeps them, materialized views among them; no rows.

Like BigQuery, and unlike its emulator: a table has exactly the type that its body says, a view's text can be read
again, a materialized view's text cannot be changed, and a view's sources must exist.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from google.cloud import bigquery

from pmp_runtime.bigquery.queries import query_client
from tests.fakes.http_server import Request, http_server

_SOURCE = re.compile(r"`[\w-]+\.(\w+\.\w+)`")


@dataclass
class BigQueryTables:
    """What there is.

    Attributes:
        tables: body by `dataset.table`.
        deleted: names, in order.
    """

    client: bigquery.Client
    datasets: set[str] = field(default_factory=set)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def answer(self, method: str, path: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        if not path:
            name = body["datasetReference"]["datasetId"]
            known = name in self.datasets
            self.datasets.add(name)
            return (409, {}) if known else (200, body)
        if len(path) == 1:
            reference = {"datasetId": path[0], "projectId": self.client.project}
            return (200, {"datasetReference": reference}) if path[0] in self.datasets else (404, {})
        if method == "POST":
            return self._insert(f"{path[0]}.{body['tableReference']['tableId']}", body)
        name = f"{path[0]}.{path[2]}"
        if name not in self.tables:
            return 404, {}
        if method == "DELETE":
            self.deleted.append(name)
            del self.tables[name]
            return 204, None
        if method in {"PATCH", "PUT"}:
            if "materializedView" in self.tables[name]:
                return 400, {}
            self.tables[name] |= body
        reference = dict(zip(("datasetId", "tableId"), name.split("."), strict=True))
        return 200, {"tableReference": {"projectId": self.client.project} | reference} | self.tables[name]

    def _insert(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name in self.tables:
            return 409, {}
        kind = next((kind for kind in ("view", "materializedView") if kind in body), None)
        if kind:
            sources = _SOURCE.findall(body[kind]["query"])
            if not all(source in self.tables for source in sources):
                return 404, {}
        types = {None: "TABLE", "view": "VIEW", "materializedView": "MATERIALIZED_VIEW"}
        self.tables[name] = body | {"type": types[kind]}
        return 200, self.tables[name]


@contextmanager
def bigquery_tables(project: str = "pmp-test") -> Iterator[BigQueryTables]:
    """Serves on a free port until the end of the block."""

    def answer(request: Request) -> tuple[int, Any]:
        path = request.path.split("?")[0].rstrip("/").split("/datasets", 1)[1].split("/")[1:]
        return fake.answer(request.method, path, request.json)

    with http_server(answer) as url:
        fake = BigQueryTables(query_client(project, url))
        try:
            yield fake
        finally:
            fake.client.close()
