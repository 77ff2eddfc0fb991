"""What several mechanisms share; none of these modules imports anything of `regard` outside this package.

patterns      the four attention patterns, and masked rows
checks        argument checks, with the numbers in the message
nonfinite     how far a NaN or an infinity may travel
autocast      functions that choose their own dtypes
chunking      a causal sequence span by span
prefix_sum    causal linear attention by chunks
landmarks     segment means
counter_rng   random numbers as a hash of a counter
"""
