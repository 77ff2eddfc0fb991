"""Networks: an encoder of texts with a head, BigGAN, and pre-trained models whose attention can be swapped."""
