"""What a stage in a process of its own remembers, in memory that outlives the process."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import tempfile
import weakref
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Checkpoint"]

HEADER = struct.Struct("<QQQ")  # sequence, records consumed, bytes of the state
CHECKSUM = struct.Struct("<I")  # of the header and the state
CONTROL = mmap.PAGESIZE  # bytes before the two slots: a word by which the worker is told to leave
SLOT = 1 << 36  # bytes from one slot to the next, of which what was never written takes no memory


class Checkpoint:
    """Two slots that are written in turn: one killed while it writes leaves the other whole.

    Parameters
    ----------
    file : int, optional
        The file's descriptor, in a process that was given it; a new file without a name by default.
    """

    def __init__(self, file: int | None = None) -> None:
        if file is None:
            file = _nameless_file()
            os.ftruncate(file, CONTROL)
        self.file = file
        self._close_file = weakref.finalize(self, os.close, file)
        self.memory = mmap.mmap(self.file, CONTROL)
        self.stop: NDArray[np.int64] = np.frombuffer(self.memory, np.int64, 1)

    def save(self, consumed: int, state: Any) -> None:
        """Keep a state, and that it is the one behind so many records."""
        data = pickle.dumps(state, pickle.HIGHEST_PROTOCOL)
        newest = self._newest()
        sequence = newest[0] + 1 if newest else 1
        data = HEADER.pack(sequence, consumed, len(data)) + data
        data = CHECKSUM.pack(zlib.crc32(data)) + data
        begin = CONTROL + sequence % 2 * SLOT
        while data:
            written = os.pwrite(self.file, data, begin)
            data, begin = data[written:], begin + written

    def load(self) -> tuple[int, Any] | None:
        """(records consumed, state) of the newest whole checkpoint; None where there is none."""
        newest = self._newest()
        return None if newest is None else (newest[1], pickle.loads(newest[2]))

    def _newest(self) -> tuple[int, int, bytes] | None:
        found = []
        for begin in (CONTROL, CONTROL + SLOT):
            head = os.pread(self.file, CHECKSUM.size + HEADER.size, begin)
            if len(head) < CHECKSUM.size + HEADER.size:
                continue
            header = head[CHECKSUM.size :]
            sequence, consumed, length = HEADER.unpack(header)
            data = os.pread(self.file, length, begin + len(head)) if length < SLOT else b""
            if sequence and len(data) == length and zlib.crc32(header + data) == CHECKSUM.unpack_from(head)[0]:
                found.append((sequence, consumed, data))
        return max(found, default=None)

    def close(self) -> None:
        """Give the memory back; what still looks at it, such as a worker that is going, keeps it until then."""
        del self.stop, self.memory
        self._close_file()


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mlopt-checkpoint")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
