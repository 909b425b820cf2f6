"""What a run did: counted while it goes on, reported at its end."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pmp_replayer.decision import Ready

MAX_CHANGES: Final = 20  # of one letter: a path with `*` may change thousands of places


@dataclass(slots=True)
class Counts:
    """A run's counts; examined = replayed + kept + refused once it has ended.

    Attributes:
        would_replay: letters that the run would publish were it not a dry one; None where it is none.
        by_reason: letters that match, by the reason they are dead letters for.
        refused_by: letters that match and are not replayed, by the reason for that.
        came_back: letters of this run that were given up again while it went on.
        stopped: why the run ended before its limit and before the last letter; None where it did not.
        fixed: what the fixes would do to some letters; of a dry run.
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
        """The whole, as JSON; only it names the run, a progress line does not."""
        whole: dict[str, Any] = {"replay_id": self.replay_id, **self.progress()}
        whole |= {"by_reason": dict(self.by_reason), "refused_by": dict(self.refused_by)}
        if self.stopped is not None:
            whole["stopped"] = self.stopped
        if self.would_replay is not None:
            whole |= {"dry_run": True, "would_replay": self.would_replay, "fixed": self.fixed}
        return whole


def audit(ready: Ready) -> dict[str, Any]:
    """What the fixes did to one letter, as JSON: the first changes, and how many there are."""
    return {
        "id": ready.letter.id,
        "changed": len(ready.changes),
        "changes": [asdict(change) for change in ready.changes[:MAX_CHANGES]],
    }
