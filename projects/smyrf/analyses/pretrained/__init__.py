"""Pre-trained models with their attention swapped, no retraining (table `pretrained_swap`, command `python -m projects.smyrf.swap`)."""
