"""A message to publish."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outgoing:
    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
