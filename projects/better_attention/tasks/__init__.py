"""What trains a model and measures it, one file per task, on one training path (`training.py`)."""
