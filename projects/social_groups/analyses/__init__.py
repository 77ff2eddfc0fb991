"""What is computed without training the network: the cost of self attention, and what shortcuts and rules tell of the scenes."""
