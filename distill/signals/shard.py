"""One shard: records one after another in a data file, and a sorted index of their keys.

While it grows it is `shard-00000.data.part`, without an index: every record carries its own key,
length and checksum, so what a crash left can be walked through, and a torn tail is cut off. Sealed,
it is `shard-00000.data` and `shard-00000.index`, which are never written again.
"""

import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from distill.signals.files import rename, write_whole
from distill.signals.identity import KEY_BYTES

HEAD = struct.Struct(f"<{KEY_BYTES}sIII")
"""Key, bytes of the record, positions, CRC-32 of all three and the record."""
_NUMBERS = struct.Struct("<II")
INDEX = np.dtype([("high", ">u8"), ("low", ">u8"), ("offset", "<u8")])


@dataclass(frozen=True, slots=True)
class Shard:
    """A sealed shard, as the manifest names it."""

    name: str
    rows: int
    positions: int
    data_bytes: int
    data_sha256: str
    index_sha256: str

    def as_dict(self) -> dict[str, Any]:
        """The shard as plain data."""
        return asdict(self)


class GrowingShard:
    """The shard that is written now. Records that an earlier process left are kept."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.name = name
        self._part = folder / f"{name}.data.part"
        sealed = folder / f"{name}.data"
        if sealed.exists():  # stopped between the rename and the manifest
            rename(sealed, self._part)
        self.offsets: dict[bytes, int] = {}
        self.positions = 0
        self._file: BinaryIO = self._part.open("a+b")
        self.size = self._recover()
        self._file.truncate(self.size)
        self._file.seek(self.size)

    def add(self, key: bytes, positions: int, record: bytes) -> None:
        """Append a record; it is safe from a crash after the next `sync`."""
        numbers = _NUMBERS.pack(len(record), positions)
        checksum = zlib.crc32(record, zlib.crc32(key + numbers))
        self._file.write(key + numbers + checksum.to_bytes(4, "little") + record)
        self._note(key, positions, len(record))

    def sync(self) -> None:
        """Bring everything to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def seal(self) -> Shard:
        """Close the shard and give its files their names; the manifest has to name it next."""
        self.sync()
        self._file.close()
        index = np.zeros(len(self.offsets), INDEX)
        keys = np.frombuffer(b"".join(self.offsets), ">u8").reshape(-1, 2)
        index["high"], index["low"] = keys[:, 0], keys[:, 1]
        index["offset"] = list(self.offsets.values())
        index = index[np.lexsort((index["low"], index["high"]))]
        write_whole(self._folder / f"{self.name}.index", index.tobytes())
        rename(self._part, self._folder / f"{self.name}.data")
        return Shard(
            self.name,
            len(index),
            self.positions,
            self.size,
            file_sha256(self._folder / f"{self.name}.data"),
            hashlib.sha256(index.tobytes()).hexdigest(),
        )

    def close(self) -> None:
        """Stop without sealing; another process goes on from here."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def _note(self, key: bytes, positions: int, length: int) -> None:
        self.offsets[key] = self.size
        self.positions += positions
        self.size += HEAD.size + length

    def _recover(self) -> int:
        """Where the last whole record ends."""
        self.size = 0
        self._file.seek(0)
        while len(head := self._file.read(HEAD.size)) == HEAD.size:
            key, length, positions, checksum = HEAD.unpack(head)
            record = self._file.read(length)
            start = zlib.crc32(head[: KEY_BYTES + _NUMBERS.size])
            if len(record) < length or zlib.crc32(record, start) != checksum:
                break
            self._note(key, positions, length)
        return self.size


class SealedShard:
    """A shard that is read through the page cache; nothing of it is copied into this process."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.shard = shard
        self._folder = folder
        content = (folder / f"{shard.name}.index").read_bytes()
        if hashlib.sha256(content).hexdigest() != shard.index_sha256:
            raise ValueError(f"{shard.name}.index is not the file that was written")
        self._index = np.frombuffer(content, INDEX)
        # Native byte order: searching in the file's would convert all of it at every look-up.
        self._high: NDArray[np.uint64] = self._index["high"].astype(np.uint64)
        with (folder / f"{shard.name}.data").open("rb") as file:
            if os.fstat(file.fileno()).st_size != shard.data_bytes:
                raise ValueError(f"{shard.name}.data is not as long as it was")
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __contains__(self, key: bytes) -> bool:
        """Whether the shard has a record under this key."""
        return self._offset(key) is not None

    def read(self, key: bytes) -> memoryview | None:
        """The record of a key, or None where the shard has none.

        Raises: ValueError when a byte of it has changed.
        """
        offset = self._offset(key)
        if offset is None:
            return None
        end = offset + HEAD.size
        found, length, _, checksum = HEAD.unpack(self._data[offset:end])
        record = memoryview(self._data)[end : end + length]
        start = zlib.crc32(self._data[offset : end - 4])
        if found != key or len(record) != length or zlib.crc32(record, start) != checksum:
            raise ValueError(f"a record of {self.shard.name}.data has changed since it was written")
        return record

    def __iter__(self) -> Iterator[bytes]:
        """All keys."""
        for high, low in zip(self._index["high"], self._index["low"], strict=True):
            yield int(high).to_bytes(8, "big") + int(low).to_bytes(8, "big")

    def verify(self) -> None:
        """Nothing, where every byte of the data is as it was written.

        Raises: ValueError.
        """
        if file_sha256(self._folder / f"{self.shard.name}.data") != self.shard.data_sha256:
            raise ValueError(f"{self.shard.name}.data has changed since it was written")

    def _offset(self, key: bytes) -> int | None:
        high, low = (int.from_bytes(half, "big") for half in (key[:8], key[8:]))
        at = int(np.searchsorted(self._high, np.uint64(high)))
        while at < len(self._index) and int(self._high[at]) == high:
            if int(self._index[at]["low"]) == low:
                return int(self._index[at]["offset"])
            at += 1
        return None


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
