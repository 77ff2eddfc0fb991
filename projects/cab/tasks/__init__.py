"""What trains a model: one file per task, which task stands for which pattern, and the cache that tables share."""
