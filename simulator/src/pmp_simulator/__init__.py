"""Feeds to poll without the internet, over HTTP: a simulated city in Vélib's dialect, or a recording."""
