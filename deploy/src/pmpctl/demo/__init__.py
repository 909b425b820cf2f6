"""`make demo`: the whole pipeline once, with its rows."""
