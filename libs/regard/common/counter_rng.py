"""Random numbers as a hash of a counter: no generator, no storage.

The same position gets the same number at any length and in any batch.

A table drawn once would have to be as long as the longest input, and a generator gives other numbers at every length.
"""

from torch import Tensor

LOW_32_BITS = 0xFFFFFFFF


def murmur_mix(x: Tensor) -> Tensor:
    """A bijection of 32 bits (held in 64) that leaves no pattern: the finaliser of MurmurHash3 (Appleby 2011)."""
    x = x & LOW_32_BITS
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & LOW_32_BITS
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & LOW_32_BITS
    return x ^ (x >> 16)
