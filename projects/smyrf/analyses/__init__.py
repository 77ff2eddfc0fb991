"""What computes without training a model of its own: attention maps, swapped attention, time and memory, the compute budget."""
