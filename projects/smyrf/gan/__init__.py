"""A generator with attention, trained once and run with other attentions (tables `biggan_swap`, `biggan_degradation`, `celeba_training`)."""
