"""What trains a model and measures it: encoders fine-tuned on texts, and generators."""
