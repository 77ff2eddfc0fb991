"""What trains a model: a classifier of texts, once for all tables."""
