"""Counter-based random numbers: every draw is a function of (seed, purpose, step, expert, index), on every engine."""

import zlib

import torch
from torch import Tensor

WORD = (1 << 64) - 1
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # splitmix64


def stream(seed: int, purpose: str, *counters: int) -> int:
    """The key of one stream of draws, a 64-bit number."""
    key = 0
    for word in (seed, zlib.crc32(purpose.encode()), *counters):
        key = _mixed(key ^ (word & WORD))
    return key


def uniform(key: int, index: Tensor) -> Tensor:
    """A number in [0, 1), a multiple of 2^-24, for each index. [n] integers -> [n] float32"""
    return _shifted(_words(key, index), 40).to(torch.float32) * 2.0**-24


def below(key: int, index: Tensor, limit: int) -> Tensor:
    """A whole number in [0, limit) for each index; limit up to 2^31. [n] integers -> [n] int64"""
    return (_shifted(_words(key, index), 32) * limit) >> 32


def _words(key: int, index: Tensor) -> Tensor:
    word = _signed(key) + (index.to(torch.int64) + 1) * _signed(GOLDEN)
    for shift, factor in ((30, FIRST), (27, SECOND)):
        word = (word ^ _shifted(word, shift)) * _signed(factor)
    return word ^ _shifted(word, 31)


def _mixed(word: int) -> int:
    word = (word + GOLDEN) & WORD
    word = ((word ^ (word >> 30)) * FIRST) & WORD
    word = ((word ^ (word >> 27)) * SECOND) & WORD
    return word ^ (word >> 31)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def _shifted(word: Tensor, bits: int) -> Tensor:
    """A logical shift to the right: torch's is arithmetic."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)
