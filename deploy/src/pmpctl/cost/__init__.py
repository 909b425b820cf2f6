"""Estimates a month's cost from measured usage and a table of prices."""
