"""Runs of the feature-launcher: one, or one for each of many points in time; their rows as files."""
