"""What a month costs, from what was used and a table of prices."""
