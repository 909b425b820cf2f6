"""Curation of one system's snapshots. Pure: no Beam, no Google client.

`curate` turns the state after one snapshot and the next snapshot into rows, rides and the next state. A snapshot goes
through `observation` (with `readings`), `verdicts`, `changes`, `rides`, `polls` and `state`, in this order.
"""

from pmp_curation.core.curate import Curated, curate
from pmp_curation.core.inputs import DEFAULT_RULES, Rules, Snapshot
from pmp_curation.core.polls import FeedEvent
from pmp_curation.core.state import ACCEPTED, StateVersionError, SystemState

__all__ = [
    "ACCEPTED",
    "DEFAULT_RULES",
    "Curated",
    "FeedEvent",
    "Rules",
    "Snapshot",
    "StateVersionError",
    "SystemState",
    "curate",
]
