"""One trainer for all projects, and pre-trained starting points."""
