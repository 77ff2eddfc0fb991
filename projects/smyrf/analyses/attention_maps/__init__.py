"""What trained attention looks like to SMYRF: captured mass, spectra, sparsity, clusters (tables `lsh_ablation`, `singular_values`, …)."""
