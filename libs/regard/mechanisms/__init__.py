"""The mechanisms, each named as it is registered: one file, or one folder where a mechanism has parts of its own.

    softmax.py        formula, `naive_softmax` (the definition), `softmax` (the fast function on split heads), `SoftmaxAttention` (the layer)
    smyrf/            the same in `__init__.py` (formula, public names), `naive.py`, `layer.py` (function and layer), and its parts beside them

`regard.build` and `regard.functional` import only the one that they need, so no mechanism is imported here.
"""
