"""What the experiments share: data, training, cells, records, tables, claims, figures, report."""
