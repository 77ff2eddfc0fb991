"""What is measured on trained classifiers: one file per table, and what these share."""
