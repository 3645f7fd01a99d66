"""Capture from a teacher in this process: hidden states, then the head in chunks.

What is kept does not depend on the order of the rows, on batches beyond rounding, or on how often
the capture was stopped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distill.capture.reading import BUDGET_BYTES, Limits, batches, read_chunks
from distill.capture.result import Captured, captured
from distill.capture.weights import weights_fingerprint
from distill.errors import Problem, RecipeError
from distill.progress import Listener, Progress
from distill.signals.cache import CacheWriter
from distill.signals.consistency import GoldTally, gold_loss, refuse_ignorant
from distill.signals.identity import Identity
from distill.signals.ragged import joined, split
from distill.signals.select import positions_per_chunk, select
from distill.signals.settings import CaptureSettings
from distill.signals.types import Signal, SignalRow
from distill.signals.vocabulary import fingerprint, shared_width
from teachers.local_model import LocalModel

PROBED_ROWS = 32


def local_identity(teacher: LocalModel, tokenizer: Any, settings: CaptureSettings) -> Identity:
    """Whose signals these would be.

    Raises: RecipeError when the student's tokenizer is not the teacher's.
    """
    width = shared_width(tokenizer, teacher.tokenizer)
    columns = teacher.model.get_output_embeddings().weight.shape[0]
    # A packed 4-bit head has another shape; its configuration says how many columns it gives.
    columns = max(columns, teacher.model.config.get_text_config().vocab_size)
    if columns < width:
        raise RecipeError(
            _narrow(teacher, columns, width).found, [_narrow(teacher, columns, width)]
        )
    return Identity(
        teacher=teacher.source,
        teacher_fingerprint=weights_fingerprint(teacher.model, teacher.source),
        tokenizer_fingerprint=fingerprint(tokenizer),
        vocabulary=width,
        settings=settings.checked(),
    )


class Reader(Protocol):
    """A teacher that is read in this process or in others."""

    @property
    def limits(self) -> Limits:
        """What decides how rows are put together."""
        ...

    def identity(self, tokenizer: Any, settings: CaptureSettings) -> Identity:
        """Whose signals these would be.

        Raises: RecipeError when the student's tokenizer is not the teacher's.
        """
        ...

    def scored(
        self, identity: Identity, batches: Sequence[Sequence[SignalRow]]
    ) -> Iterator[list[Signal]]:
        """Yields the signals of the rows of each batch, batch after batch."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """A teacher in this process; it stays loaded."""

    teacher: LocalModel
    budget_bytes: int = BUDGET_BYTES
    """Memory for logits and what is computed from them."""

    @property
    def limits(self) -> Limits:
        """What decides how rows are put together."""
        return self.teacher

    def identity(self, tokenizer: Any, settings: CaptureSettings) -> Identity:
        """Whose signals these would be."""
        return local_identity(self.teacher, tokenizer, settings)

    def scored(
        self, identity: Identity, batches: Sequence[Sequence[SignalRow]]
    ) -> Iterator[list[Signal]]:
        """Yields the signals of the rows of each batch, as they are asked for."""
        for batch in batches:
            yield score(self.teacher, identity, batch, self.budget_bytes)


def capture(
    rows: Sequence[SignalRow],
    teacher: LocalModel,
    tokenizer: Any,
    settings: CaptureSettings,
    folder: Path | str,
    listen: Listener,
    *,
    budget_bytes: int = BUDGET_BYTES,
    refuse_guessing: bool = True,
) -> Captured:
    """Fill the cache out of a teacher in this process; as `fill_cache`."""
    reader = Here(teacher, budget_bytes)
    identity = reader.identity(tokenizer, settings)
    return fill_cache(rows, reader, identity, folder, listen, refuse_guessing=refuse_guessing)


def fill_cache(
    rows: Sequence[SignalRow],
    reader: Reader,
    identity: Identity,
    folder: Path | str,
    listen: Listener,
    *,
    refuse_guessing: bool = True,
) -> Captured:
    """Fill the cache with every row that it does not hold yet; what came of it.

    Args:
        rows: In the student's tokens; one without a supervised token needs no signal.
        reader: Scores them.
        identity: The reader's.
        folder: The cache; made when it is not there.
        listen: Is told after every batch.
        refuse_guessing: Refuse a teacher that is no better than a guess, after a few rows.

    Raises: RecipeError, DataError, RunError.
    """
    wanted = [row for row in rows if len(row.positions_N)]
    tally = GoldTally(identity.vocabulary)
    with CacheWriter(folder, identity) as writer:
        missing = list({identity.key(row): row for row in wanted if row not in writer}.values())
        stored = len(wanted) - len(missing)
        todo = list(batches(reader.limits, missing))
        some = list(batches(reader.limits, _some(missing))) if refuse_guessing else []
        scored = reader.scored(identity, [*some, *todo])
        if some:
            first = [signal for signals in islice(scored, len(some)) for signal in signals]
            refuse_ignorant(reader.limits.source, gold_loss(first, identity.vocabulary))
        done = stored
        for batch, signals in zip(todo, scored, strict=True):
            for row, signal in zip(batch, signals, strict=True):
                writer.add(row, signal)
            writer.commit()
            tally.add(signals)
            done += len(batch)
            listen(Progress("signals", done, len(wanted)))
    loss = tally.loss()
    return captured(str(folder), rows=len(wanted), stored=stored, loss=loss)


def score(
    teacher: LocalModel,
    identity: Identity,
    batch: Sequence[SignalRow],
    budget_bytes: int = BUDGET_BYTES,
) -> list[Signal]:
    """The signals of rows, in order; no [positions, vocabulary] tensor beyond the budget."""
    settings, width = identity.settings, identity.vocabulary
    size = positions_per_chunk(_columns(teacher, width), budget_bytes, settings)
    uniform_NR = _uniform(identity, batch) if settings.kind == "sampled" else None

    def use(logits_NV: Any, gold_N: Any, place: slice) -> Any:
        numbers = None if uniform_NR is None else uniform_NR[place]
        return select(logits_NV, gold_N, settings, numbers)

    parts = read_chunks(teacher, batch, width, size, use)
    return split(joined(parts), [len(row.positions_N) for row in batch])


def _some(rows: Sequence[SignalRow], *, seed: int = 0) -> list[SignalRow]:
    """A few of the rows, by which a teacher that guesses is known."""
    order = np.random.default_rng(seed).permutation(len(rows))[:PROBED_ROWS].tolist()
    return [rows[at] for at in order]


def _columns(teacher: LocalModel, width: int) -> int:
    """Of the head, padding included: a projection is as wide as that before it is cut."""
    return max(width, int(teacher.model.config.get_text_config().vocab_size))


def _uniform(identity: Identity, batch: Sequence[SignalRow]) -> NDArray[np.float64]:
    """Numbers to draw with, from each row's own stream: the same in any batch, on any device."""
    return np.concatenate(
        [
            np.random.default_rng(int.from_bytes(identity.key(row), "big")).random(
                (len(row.positions_N), identity.settings.draws)
            )
            for row in batch
        ]
    )


def _narrow(teacher: LocalModel, columns: int, width: int) -> Problem:
    return Problem(
        key="train.signal.from",
        found=f"{teacher.source} gives {columns} columns of logits, its tokenizer has {width} ids",
        fix="Take a checkpoint whose head covers its tokenizer.",
    )
