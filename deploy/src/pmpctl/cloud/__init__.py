"""Google's APIs for the commands: the state as plain data, changes as calls."""
