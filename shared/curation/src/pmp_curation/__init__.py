"""Curation: the snapshots of a system become history. Without Beam and Flask; `core` has no Google client either."""
