"""Networks: the encoder, the translator and the language model, the layers they are built of, and the controls."""
