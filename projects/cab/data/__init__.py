"""How data enter the tasks: one file per kind of data."""
