"""JSON paths as fixes use them: `$.a.b[0].c`, `$.stations[*].id`, `$["a key"]`; a part of RFC 9535."""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

Key = str | int | None
"""One step: a name, an index, or None for every entry of a list."""

Path = tuple[Key, ...]

MAX_STEPS: Final = 100
_STEP: Final = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*)|\[(?:(?P<index>\d{1,9})|(?P<every>\*)|(?P<quoted>"(?:[^"\\]|\\.)*"))\]"""
)


@lru_cache(maxsize=256)
def parse_path(text: str) -> Path:
    """The steps of a path; at least one.

    Raises:
        ValueError: not in this form.
    """
    steps: list[Key] = []
    at = 1
    while text.startswith("$") and (match := _STEP.match(text, at)):
        steps.append(_key(match))
        at = match.end()
    if not steps or at != len(text) or len(steps) > MAX_STEPS:
        raise ValueError(f"not a path such as $.a.b[0].c or $.stations[*].id: {text!r:.100}")
    return tuple(steps)


def spell(steps: Iterable[Key]) -> str:
    """The path of the steps, in one form for each."""
    return "$" + "".join(_spelled(step) for step in steps)


def _key(match: re.Match[str]) -> Key:
    if match["index"] is not None:
        return int(match["index"])
    if match["quoted"] is not None:
        return str(json.loads(match["quoted"]))
    return match["name"]  # None for `*`


def _spelled(step: Key) -> str:
    if isinstance(step, str):
        plain = f".{step}"
        return plain if _STEP.fullmatch(plain) else f"[{json.dumps(step, ensure_ascii=False)}]"
    return "[*]" if step is None else f"[{step}]"
