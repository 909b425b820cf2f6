"""Curation: snapshots of a system become history. Imports no Beam and no Flask; `core` is pure."""
