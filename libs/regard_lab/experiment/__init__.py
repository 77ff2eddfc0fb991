"""From a table's file to a result: configs, cells, their identity, and how cells are run."""
