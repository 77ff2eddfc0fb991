"""Beside the network: the cost of self attention, what shortcuts, rules and floors tell of the scenes, and the ladder of sanity."""
