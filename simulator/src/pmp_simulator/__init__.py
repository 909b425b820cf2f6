"""Simulated and recorded GBFS feeds over HTTP, for development and demos.

In the order of a request: `cli`, `server`, `source`, then `recording` or `simulated_feed`. A simulated feed renders the
`city` (`stations`, `demand`, `timeline`, `moves`) in the dialect of `velib` with its `heartbeat`; `anomalies` spoil it.
"""
