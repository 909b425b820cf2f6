"""SQL from `.sql` files: `{placeholders}` are filled in with table names and other text; `@parameters` stay."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

from pmp_schema.topology import TOPOLOGY

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def full_name(table: str, project: str) -> str:
    """`project.dataset.table` of a table or view.

    Raises:
        KeyError: no dataset has it.
    """
    return f"{project}.{TOPOLOGY.dataset_of(table).id}.{table}"


def placeholders(package: str, path: str) -> frozenset[str]:
    """The names of a file's placeholders; the path is relative to the package."""
    return frozenset(_PLACEHOLDER.findall(_text(package, path)))


def render(package: str, path: str, /, **values: object) -> str:
    """A file's text with its placeholders filled in.

    Raises:
        KeyError: a placeholder has no value, or a value has no placeholder.
    """
    if wrong := placeholders(package, path) ^ values.keys():
        raise KeyError(f"{path}: placeholders and values differ: {', '.join(sorted(wrong))}")
    return _PLACEHOLDER.sub(lambda match: str(values[match[1]]), _text(package, path))


@cache
def render_query(package: str, name: str, project: str) -> str:
    """The text of `sql/<name>.sql`, in which every placeholder is the name of a table or view."""
    path = f"sql/{name}.sql"
    return render(
        package, path, **{table: full_name(table, project) for table in placeholders(package, path)}
    )


@cache
def _text(package: str, path: str) -> str:
    return files(package).joinpath(path).read_text("utf-8")
