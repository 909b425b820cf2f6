"""The catalogue as Markdown, for the documentation."""

from collections.abc import Iterable, Sequence

from pmp_schema.features.aggregations import AGGREGATIONS
from pmp_schema.features.catalogue import Feature


def render_markdown(features: Sequence[Feature]) -> str:
    """Two tables: the features with their windows, and the aggregations that they use, in words."""
    used = {feature.aggregation.name for feature in features}
    definitions = (
        (f"`{name}`", aggregation.definition) for name, aggregation in AGGREGATIONS.items() if name in used
    )
    head = ("feature", "windows", "of", "aggregation", "meaning", "source")
    tables = (_table(head, _entries(features)), _table(("aggregation", "definition"), definitions))
    return "\n\n".join(tables) + "\n"


def _entries(features: Iterable[Feature]) -> Iterable[tuple[str, ...]]:
    by_name: dict[str, list[Feature]] = {}
    for feature in features:
        by_name.setdefault(feature.name, []).append(feature)
    for name, same in by_name.items():
        first = same[0]
        windows = ", ".join(f"`{feature.window}`" for feature in same)
        yield (
            f"`{name}`",
            windows,
            first.kind,
            f"`{first.aggregation.name}`",
            first.description,
            first.source,
        )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
