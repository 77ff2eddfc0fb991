"""Time and memory of a BERT layer stack (tables `speed`, `memory`)."""
