"""Regard's attention library: certified mechanisms behind one contract.

Letters in shapes: `b` batch, `h` heads, `n` queries, `m` keys, `d` key width, `e` value width, `w` model width, `c` clusters, landmarks or
slots, `r` rounds. Inside: `b h n d`. At module borders: `b n w`. A mask named `*_mask` is boolean, True = keep.

    layer = regard.build("smyrf", width=512, heads=8, pattern="noncausal_self", rounds=2, cluster_size=32)
    y = layer(x)                                                        # (b, n, w) -> (b, n, w)
    out = regard.functional.smyrf(q, k, v, rounds=2, cluster_size=32)   # (b h n d), (b h m d), (b h m e) -> (b h n e)

`functional`, `certify`, `cost` and `adapters` are imported on first use.
"""
