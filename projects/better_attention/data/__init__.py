"""How data enter the models: labelled texts and images, pairs of sentences, and windows of running text."""
