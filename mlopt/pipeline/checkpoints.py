"""What a stage in a process of its own remembers, in memory that outlives the process."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import tempfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Checkpoint"]

HEADER = struct.Struct("<QQQI")  # sequence, records consumed, bytes, their checksum
CONTROL = 64  # bytes before the two slots: a word by which the worker is told to leave


class Checkpoint:
    """Two slots that are written in turn: one killed while it writes leaves the other whole.

    Parameters
    ----------
    size : int
        Bytes of a slot.
    file : int, optional
        The file's descriptor, in a process that was given it; a new file without a name by default.
    """

    def __init__(self, size: int, file: int | None = None) -> None:
        self.size = size
        self.file = _nameless_file() if file is None else file
        if file is None:
            os.ftruncate(self.file, CONTROL + 2 * size)
        self.memory = mmap.mmap(self.file, CONTROL + 2 * size)
        self.stop: NDArray[np.int64] = np.frombuffer(self.memory, np.int64, 1)

    def save(self, consumed: int, state: Any) -> None:
        """Keep a state, and that it is the one behind so many records.

        Raises
        ------
        ValueError
            If the state has outgrown the slot.
        """
        data = pickle.dumps(state, pickle.HIGHEST_PROTOCOL)
        if HEADER.size + len(data) > self.size:
            raise ValueError(f"a checkpoint has {len(data)} bytes, more than the {self.size - HEADER.size} of its slot")
        newest = self._newest()
        sequence = newest[0] + 1 if newest else 1
        begin = CONTROL + sequence % 2 * self.size
        self.memory[begin + HEADER.size : begin + HEADER.size + len(data)] = data
        HEADER.pack_into(self.memory, begin, sequence, consumed, len(data), zlib.crc32(data))

    def load(self) -> tuple[int, Any] | None:
        """(records consumed, state) of the newest whole checkpoint; None where there is none."""
        newest = self._newest()
        return None if newest is None else (newest[1], pickle.loads(newest[2]))

    def _newest(self) -> tuple[int, int, bytes] | None:
        found = []
        for begin in (CONTROL, CONTROL + self.size):
            sequence, consumed, length, checksum = HEADER.unpack_from(self.memory, begin)
            data = self.memory[begin + HEADER.size : begin + HEADER.size + min(length, self.size)]
            if sequence and zlib.crc32(data) == checksum:
                found.append((sequence, consumed, data))
        return max(found, default=None)

    def close(self) -> None:
        """Give the memory back."""
        del self.stop
        self.memory.close()
        os.close(self.file)


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mlopt-checkpoint")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
