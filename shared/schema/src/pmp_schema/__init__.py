"""Names, messages, tables, GBFS and features of Mobility Pulse: import its modules. Depends on msgspec alone."""
