"""Messages that did not become rows: listed, replayed, reconciled."""
