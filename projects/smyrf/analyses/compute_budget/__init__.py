"""What the tables need at `paper` scale on one GPU, by arithmetic: python -m projects.smyrf.analyses.compute_budget

    hours = operations of a piece of work · how often the configs ask for it / a sustained rate

Operations are those of matrix products and convolutions, 2 per multiply-add. What a model has beside attention is
counted by torch's FlopCounterMode on the modules that the composed configs build, without memory (device "meta");
attention is added by its formula (`regard.cost`), its backward pass as twice the forward one. Texts are taken as long
as the cut, which real ones are not. Not counted, and not free: sorting and gathering, norms, reading data, the power
iterations of spectral norms. So these are orders of magnitude, and say nothing of SMYRF's own speed.
"""
