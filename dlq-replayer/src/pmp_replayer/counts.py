"""The counts of a replay: its progress while it runs, its report at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counts:
    """At the end, examined = replayed + kept + refused.

    Attributes:
        would_replay: dead letters that a real replay would publish; None unless this is a dry run.
        by_reason: matching dead letters, by their reason.
        refused_by: matching dead letters that are not replayed, by the reason for the refusal.
        came_back: dead letters of this replay that were given up again while it ran.
        stopped: why the replay ended early; None if it reached its limit or the last dead letter.
        fixed: examples of what the fixes would change; dry run only.
    """

    replay_id: str
    examined: int = 0
    matched: int = 0
    replayed: int = 0
    refused: int = 0
    came_back: int = 0
    would_replay: int | None = None
    by_reason: Counter[str] = field(default_factory=Counter)
    refused_by: Counter[str] = field(default_factory=Counter)
    stopped: str | None = None
    fixed: list[dict[str, Any]] = field(default_factory=list)

    def progress(self) -> dict[str, Any]:
        """The counts so far, as JSON."""
        return {
            "examined": self.examined,
            "matched": self.matched,
            "replayed": self.replayed,
            "kept": self.examined - self.replayed - self.refused,
            "refused": self.refused,
            "came_back": self.came_back,
        }

    def report(self) -> dict[str, Any]:
        """Everything, as JSON. Only the report has the replay's id; a progress line does not."""
        whole: dict[str, Any] = {"replay_id": self.replay_id, **self.progress()}
        whole |= {"by_reason": dict(self.by_reason), "refused_by": dict(self.refused_by)}
        if self.stopped is not None:
            whole["stopped"] = self.stopped
        if self.would_replay is not None:
            whole |= {"dry_run": True, "would_replay": self.would_replay, "fixed": self.fixed}
        return whole
