"""Generators with attention, trained once and run with other attentions (tables `biggan_swap`, `celeba_training`)."""
