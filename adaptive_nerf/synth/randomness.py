"""Counter-based randomness: every draw is a function of (seed, purpose, index), never of what was drawn before."""

import zlib

import numpy as np
import numpy.typing as npt


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A fresh generator for one purpose; the same arguments always give the same draws."""
    words = [seed, zlib.crc32(purpose.encode()), *index]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def hash01(first: npt.NDArray, second: npt.NDArray, salt: npt.NDArray | int) -> npt.NDArray[np.float32]:
    """A number in [0, 1) for each pair of whole numbers: for bricks, window panes and fields. [n] -> [n]"""
    with np.errstate(over="ignore"):
        mixed = np.asarray(first, np.int32).astype(np.uint32) * np.uint32(0x9E3779B1)
        mixed = mixed ^ (np.asarray(second, np.int32).astype(np.uint32) * np.uint32(0x85EBCA77))
        mixed = mixed ^ (np.asarray(salt, np.int32).astype(np.uint32) * np.uint32(0xC2B2AE3D))
        for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
            mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return ((mixed >> np.uint32(8)) * np.float32(2**-24)).astype(np.float32)
