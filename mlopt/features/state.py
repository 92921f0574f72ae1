"""States as bytes: a header that says whose they are, a checksum, then the numbers."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

__all__ = ["StateFormat"]


class StateFormat:
    """One kind of state: how it begins, and what its header holds besides.

    Parameters
    ----------
    magic : bytes
        The first four bytes.
    version : int
        Of the layout.
    fields : str
        Further header fields, as :mod:`struct` writes them.
    source : str
        What returns such states, for messages.
    """

    def __init__(self, magic: bytes, version: int, fields: str, source: str) -> None:
        self.header = struct.Struct(f"<4sI{fields}QI")  # magic, version, fields, bytes that follow, their checksum
        self.magic, self.version, self.source = magic, version, source

    def pack(self, fields: tuple[Any, ...], payload: bytes) -> bytes:
        header = self.header.pack(self.magic, self.version, *fields, len(payload), zlib.crc32(payload))
        return header + payload

    def unpack(self, state: Any) -> tuple[tuple[Any, ...], memoryview]:
        """The fields and the bytes behind the header; the length is the caller's to judge, with :meth:`numbers`."""
        data = memoryview(state).cast("B")
        if len(data) < self.header.size or data[:4] != self.magic:
            raise ValueError(f"state is not what {self.source} returns")
        (_, version), fields = struct.unpack_from("<4sI", data), self.header.unpack_from(data)[2:]
        if version != self.version:
            raise ValueError(f"state has version {version}, expected {self.version}")
        return fields, data[self.header.size :]

    def numbers(
        self, fields: tuple[Any, ...], payload: memoryview, count: int
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The payload as so many float64, a view, where length and checksum are as the header says."""
        size, checksum = fields[-2:]
        if len(payload) != 8 * count:
            raise ValueError(f"state has {len(payload)} bytes behind its header, expected {8 * count}")
        if size != len(payload) or zlib.crc32(payload) != checksum:
            raise ValueError("state is damaged: its checksum does not match")
        return np.frombuffer(payload, np.float64)
