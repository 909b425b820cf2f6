"""Google's APIs as the commands see them: what is there, read as plain data; what would change it, as calls."""
