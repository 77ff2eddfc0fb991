"""The two classifiers, and what both offer: their last step from attention to classes, laid open."""
