"""Sentences and reviews: pre-trained encoders fine-tuned with dense attention and with SMYRF (tables `glue`, `imdb`, `mask_bug`)."""
