"""The module as python-hcl2 reads it: blocks as dicts, expressions as text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2

_MARKS = ("__is_block__", "__comments__", "__inline_comments__")


def load(path: Path) -> dict[str, list[dict[str, Any]]]:
    return hcl2.loads(path.read_text("utf-8"))


def labelled(document: dict[str, Any], kind: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Blocks of a kind: labels and body."""
    for found in document.get(kind, []):
        labels, body = [], found
        while not is_block(body):
            (label, body), *_ = arguments(body).items()
            labels.append(label.strip('"'))
        yield tuple(labels), body


def is_block(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__is_block__", False)


def arguments(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _MARKS}


def blocks(value: Any) -> list[dict[str, Any]] | None:
    """The blocks that a value consists of, or None for an argument."""
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return value if any(map(is_block, value)) else None
    return None
