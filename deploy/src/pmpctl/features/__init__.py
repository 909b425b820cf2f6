"""Feature runs: started, listed, computed for many times, exported."""
