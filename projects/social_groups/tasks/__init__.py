"""Training the network on scenes, its losses, and how what it predicts is measured."""
