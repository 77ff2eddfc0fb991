"""The three networks that are trained, the blocks that they are made of, and the layer in them that is under test."""
