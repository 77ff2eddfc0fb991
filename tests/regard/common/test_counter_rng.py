"""The hash that stands in for a generator, against the same arithmetic in Python's integers."""

import random

import torch

from regard.common.counter_rng import LOW_32_BITS, murmur_mix


def finaliser(x: int) -> int:
    """`fmix32` of MurmurHash3, as published."""
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    return x ^ x >> 16


def test_published_values() -> None:
    """0 is fixed, and fmix32(1) is 0x514E28B7."""
    assert murmur_mix(torch.tensor([0, 1])).tolist() == [0, 0x514E28B7]


def test_the_arithmetic_is_that_of_32_bits() -> None:
    draw = random.Random(0)
    numbers = [draw.randrange(2**32) for _ in range(1000)] + [2**31, LOW_32_BITS]
    assert murmur_mix(torch.tensor(numbers)).tolist() == [finaliser(x) for x in numbers]


def test_bits_above_the_32nd_do_not_count() -> None:
    assert murmur_mix(torch.tensor([5 + 2**32, 5 - 2**40])).tolist() == [finaliser(5)] * 2


def test_numbers_in_a_row_share_no_pattern() -> None:
    """One number after the other differs in half of the bits on average, and none is met twice."""
    mixed = murmur_mix(torch.arange(4096))
    assert mixed.unique().numel() == 4096
    flipped = (mixed[1:, None] ^ mixed[:-1, None]) >> torch.arange(32) & 1
    assert (flipped.double().mean(0) - 0.5).abs().max() < 0.05  # 4,095 draws: a standard deviation is 0.008
