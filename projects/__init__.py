"""One package a paper. Projects use `regard_lab` and `regard`, and never each other."""
