"""Curation of one system's snapshots: what changed, what was ridden, what to doubt. Pure; no Beam, no Google.

`curate` turns the state after one snapshot and the next snapshot into rows, derived events and the next state.
"""

from pmp_curation.core.curate import Curated, curate
from pmp_curation.core.notices import Notice
from pmp_curation.core.rules import Rules
from pmp_curation.core.snapshot import Snapshot
from pmp_curation.core.state import StateVersionError, SystemState

__all__ = ["Curated", "Notice", "Rules", "Snapshot", "StateVersionError", "SystemState", "curate"]
