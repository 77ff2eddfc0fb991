"""On Explaining with Attention Matrices (Naim & Asher, arXiv 2410.18541): a re-examination of the abstract's claims under explicit definitions."""
