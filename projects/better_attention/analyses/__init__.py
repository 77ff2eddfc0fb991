"""What is computed without training: costs, inference times, the merging of weights, attention maps."""
