"""A folder of signals, found by what a row says: a manifest and shards.

One process writes, any number read, also while it writes: they see the shards that are sealed. A
row that is not there is an error that names it, never another row's signal.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from distill.errors import DataError, Problem, RecipeError, RunError
from distill.signals.codecs import decode, encode
from distill.signals.files import told_as_run_errors, write_whole
from distill.signals.identity import Identity
from distill.signals.shard import GrowingShard, SealedShard, Shard
from distill.signals.types import Signal, SignalRow
from distill.signals.vocabulary import fingerprint

SCHEMA = 1
MANIFEST, LOCK = "manifest.json", "writer.lock"
SHARD_BYTES = 256 * 2**20


class SignalCache:
    """A cache that is read. It can be sent to another process, which opens the files anew."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._shards: dict[str, SealedShard] = {}
        self._seen = b""
        self.identity: Identity
        self._refresh()

    def __reduce__(self) -> tuple[type["SignalCache"], tuple[Path]]:
        return (SignalCache, (self.folder,))

    def __contains__(self, row: SignalRow) -> bool:
        """Whether the cache holds this row's signal."""
        return self._found(self.identity.key(row)) is not None

    @property
    def shards(self) -> list[Shard]:
        """The sealed shards, oldest first."""
        return [one.shard for one in self._shards.values()]

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return sum(shard.rows for shard in self.shards)

    @property
    def positions(self) -> int:
        """How many supervised positions it holds."""
        return sum(shard.positions for shard in self.shards)

    @property
    def data_bytes(self) -> int:
        """What data and index take on the disk."""
        files = [
            self.folder / f"{name}.{end}" for name in self._shards for end in ("data", "index")
        ]
        return sum(path.stat().st_size for path in files)

    def read(self, row: SignalRow) -> Signal:
        """The row's signal.

        Raises: DataError when the cache has none, or its bytes have changed.
        """
        record = self._found(self.identity.key(row))
        if record is None:
            raise self._missing([row])
        try:
            signal = decode(record)
        except ValueError as exc:
            raise self._damaged(str(exc), row.id) from exc
        if signal.positions != len(row.positions_N):
            found = f"{signal.positions} positions, the row has {len(row.positions_N)}"
            raise self._damaged(found, row.id)
        return signal

    def signals(self) -> Iterator[Signal]:
        """All signals, in no order that means anything.

        Raises: DataError when bytes have changed.
        """
        for one in list(self._shards.values()):
            for key in one:
                record = self._found(key)
                if record is not None:
                    yield decode(record)

    def need_tokenizer(self, tokenizer: Any) -> None:
        """Nothing, where the ids of this cache are those of a tokenizer.

        Raises: RecipeError.
        """
        if fingerprint(tokenizer) == self.identity.tokenizer_fingerprint:
            return
        problem = Problem(
            file=str(self.folder),
            key="student",
            found="the signals were captured for another tokenizer than the student's",
            fix="Capture them again for this student.",
        )
        raise RecipeError(str(problem), [problem])

    def need_all(self, rows: Iterable[SignalRow]) -> None:
        """Nothing, where every row has a signal.

        Raises: DataError naming the rows that have none.
        """
        missing = [row for row in rows if len(row.positions_N) and row not in self]
        if missing:
            raise self._missing(missing)

    def verify(self) -> None:
        """Nothing, where every byte is as it was written.

        Raises: DataError.
        """
        for one in self._shards.values():
            try:
                one.verify()
            except ValueError as exc:
                raise self._damaged(str(exc), None) from exc

    def _found(self, key: bytes) -> memoryview | None:
        for turn in range(2):
            for one in self._shards.values():
                try:
                    record = one.read(key)
                except ValueError as exc:
                    raise self._damaged(str(exc), None) from exc
                if record is not None:
                    return record
            # A writer may have sealed another shard since.
            if turn == 0 and not self._refresh():
                return None
        return None

    def _refresh(self) -> bool:
        """Look at the manifest again; whether it has changed."""
        try:
            content = (self.folder / MANIFEST).read_bytes()
            if content == self._seen:
                return False
            manifest = json.loads(content)
            if manifest["schema"] != SCHEMA:
                raise ValueError(f"schema {manifest['schema']}; this reads {SCHEMA}")
            self.identity = Identity.from_dict(manifest["identity"])
            for data in manifest["shards"]:
                if data["name"] not in self._shards:
                    self._shards[data["name"]] = SealedShard(self.folder, Shard(**data))
        except FileNotFoundError as exc:
            raise self._damaged(f"no {Path(exc.filename).name} in it", None) from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise self._damaged(str(exc), None) from exc
        self._seen = content
        return True

    def _missing(self, rows: Sequence[SignalRow]) -> DataError:
        names = ", ".join(row.id for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
        problem = Problem(
            file=str(self.folder),
            key=rows[0].id,
            found=f"no signal of {self.identity.teacher} for {len(rows)} of the rows: {names}",
            fix="Capture the signals of these very rows (`distill logits capture`); another "
            "tokenizer, template or max_length makes other rows.",
        )
        return DataError(f"row {rows[0].id} has no signal in the cache", [problem])

    def _damaged(self, what: str, row: str | None) -> DataError:
        problem = Problem(
            file=str(self.folder),
            key=row,
            found=f"the signal cache cannot be read: {what}",
            fix="Delete the folder and capture again.",
        )
        return DataError(str(problem), [problem])


class CacheWriter:
    """A cache that grows; use it in a `with` block. What it holds already is not made again."""

    def __init__(
        self, folder: Path | str, identity: Identity, *, shard_bytes: int = SHARD_BYTES
    ) -> None:
        self.folder = Path(folder)
        self.identity = identity
        self._shard_bytes = shard_bytes
        self._growing: GrowingShard
        self._shards: list[Shard] = []
        self._sealed: list[SealedShard] = []
        with told_as_run_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
            try:
                self._open()
            except BaseException:
                self._lock.close()
                raise

    def __enter__(self) -> "CacheWriter":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        """Seal what was written; after an error only sync it, the next writer goes on."""
        try:
            with told_as_run_errors(self.folder):
                if kind is None:
                    self._seal()
                self._growing.close()
        finally:
            self._lock.close()

    def __contains__(self, row: SignalRow) -> bool:
        """Whether this row needs no capture any more."""
        key = self.identity.key(row)
        return key in self._growing.offsets or any(key in one for one in self._sealed)

    def add(self, row: SignalRow, signal: Signal) -> None:
        """Keep a row's signal; one that is there already stays as it is.

        Raises: ValueError when it does not speak of the row's supervised positions.
        """
        if signal.positions != len(row.positions_N):
            raise ValueError(
                f"row {row.id}: {signal.positions} of {len(row.positions_N)} positions"
            )
        if row in self:
            return
        record = encode(signal, self.identity.settings.codec, self.identity.vocabulary)
        with told_as_run_errors(self.folder):
            self._growing.add(self.identity.key(row), signal.positions, record)

    def commit(self) -> None:
        """Make what was added safe from a crash, and seal the shard when it is large enough."""
        with told_as_run_errors(self.folder):
            self._growing.sync()
            if self._growing.size >= self._shard_bytes:
                self._seal()
                self._growing = self._next()

    def _open(self) -> None:
        if (self.folder / MANIFEST).exists():
            cache = SignalCache(self.folder)
            cache.identity.need_equal(self.identity, str(self.folder))
            self._shards = cache.shards
            self._sealed = [SealedShard(self.folder, shard) for shard in self._shards]
        else:
            self._write_manifest()
        self._growing = self._next()

    def _next(self) -> GrowingShard:
        return GrowingShard(self.folder, f"shard-{len(self._shards):05}")

    def _seal(self) -> None:
        if self._growing.offsets:
            shard = self._growing.seal()
            self._shards.append(shard)
            self._sealed.append(SealedShard(self.folder, shard))
            self._write_manifest()
        else:
            self._growing.close()
            (self.folder / f"{self._growing.name}.data.part").unlink(missing_ok=True)

    def _write_manifest(self) -> None:
        manifest = {
            "schema": SCHEMA,
            "identity": self.identity.as_dict(),
            "rows": sum(shard.rows for shard in self._shards),
            "positions": sum(shard.positions for shard in self._shards),
            "shards": [shard.as_dict() for shard in self._shards],
        }
        write_whole(self.folder / MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")


def _locked(folder: Path) -> IO[str]:
    """The lock file, held until it is closed or this process ends.

    Raises: RunError naming the process that holds it.
    """
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        problem = Problem(
            file=str(folder),
            found=f"process {holder} writes this cache now",
            fix="Wait for it, or stop it; what it kept is not lost.",
        )
        raise RunError(str(problem), [problem]) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
