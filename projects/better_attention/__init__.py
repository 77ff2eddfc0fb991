"""You Need to Pay Better Attention (Hosseini & Hosseini, arXiv 2403.01643): Optimised, Efficient and Super Attention."""
