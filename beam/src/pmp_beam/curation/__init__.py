"""Curation of one system's snapshots: what changed, what was ridden, what to doubt. Pure; no Beam, no Google.

`curate` turns the state after one snapshot and the next snapshot into rows, derived events and the next state.
"""

from pmp_beam.curation.curate import Curated, curate
from pmp_beam.curation.notices import Notice
from pmp_beam.curation.rules import Rules
from pmp_beam.curation.snapshot import Snapshot
from pmp_beam.curation.state import StateVersionError, SystemState

__all__ = ["Curated", "Notice", "Rules", "Snapshot", "StateVersionError", "SystemState", "curate"]
