"""What models read: texts in batches, pictures, and the inputs of pre-trained models, out of data sets or a user's own files."""
