"""HTTP services: health routes, JSON errors, gunicorn's settings (extra `http`)."""
