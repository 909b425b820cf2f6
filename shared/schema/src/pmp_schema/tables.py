"""Table schemas and view texts, from the JSON and SQL files that Terraform reads too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pmp_schema.sql import render
from pmp_schema.topology import TOPOLOGY

Row = Mapping[str, object]
"""Column name to str, int, float, bool, aware datetime, date, bytes or list of str; JSON is text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `type` as in BigQuery's REST API (STRING, INTEGER, FLOAT, BOOLEAN, TIMESTAMP, DATE, BYTES, JSON)."""

    name: str
    type: str
    mode: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's schema.

    Attributes:
        dataset: dataset id.
        name: table id.
        partition_field: column of the daily partition.
        cluster: clustering columns, in order.
        columns: in the order of the schema file.
    """

    dataset: str
    name: str
    description: str
    partition_field: str
    cluster: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def id(self) -> str:
        return f"{self.dataset}.{self.name}"

    def path(self, project: str, moved_to: str | None = None) -> str:
        """The table's resource name.

        Args:
            moved_to: `project.dataset.table`, where the table is not in the place that the topology names.
        """
        parts = moved_to.split(".") if moved_to else [project, self.dataset, self.name]
        return "projects/{}/datasets/{}/tables/{}".format(*parts)

    def api_schema(self) -> list[dict[str, Any]]:
        """The schema as BigQuery's REST API takes it."""
        return [
            {"name": c.name, "type": c.type, "mode": c.mode, "description": c.description}
            for c in self.columns
        ]


@cache
def table(name: str) -> Table:
    """The schema of a table by its id without dataset.

    Raises:
        KeyError: no dataset of the topology has the table.
    """
    dataset = TOPOLOGY.dataset_of(name)
    raw = json.loads(files(__package__).joinpath("tables", f"{name}.json").read_text("utf-8"))
    return Table(
        dataset=dataset.id,
        name=name,
        description=raw["description"],
        partition_field=raw["partition"]["field"],
        cluster=tuple(raw["cluster"]),
        columns=tuple(Column(**column) for column in raw["schema"]),
    )


def view_sql(name: str, project: str) -> str:
    """The query of a view in a project."""
    return render(__package__, f"views/{name}.sql", project=project)
