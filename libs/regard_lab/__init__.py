"""What experiments share: data, training, cells, tables, claims and the report."""
