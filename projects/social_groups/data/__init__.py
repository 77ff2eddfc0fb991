"""How scenes enter the model: read and cut to the budget, made anew each epoch, detected with errors, painted into maps."""
