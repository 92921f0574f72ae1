"""What the benchmarks share; it imports with any version of mlopt, or none of what is measured."""

import numpy as np


def aligned(shape, dtype, place=0):
    """A touched array of uniform numbers in (0, 1), at a multiple of 64 bytes.

    Arrays used together take different places, so that their addresses do not differ by whole pages.
    """
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    raw = np.empty(count * dtype.itemsize + 8192, np.uint8)
    start = -raw.ctypes.data % 4096 + place * 1088
    array = raw[start : start + count * dtype.itemsize].view(dtype).reshape(shape)
    array[...] = np.random.default_rng(place).uniform(size=shape)
    return array


def attribute(path):
    """``mlopt.<path>``; the benchmark is skipped where this version has none."""
    import importlib

    module, _, name = f"mlopt.{path}".rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotImplementedError(f"mlopt.{path} is not in this version: {error}") from error
