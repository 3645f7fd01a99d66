"""Capture from a local teacher with another tokenizer: its distributions in the student's tokens.

Each row is given twice, in the student's tokens and in the teacher's own. What is kept are top-k
supports in the student's ids, so that everything behind the cache is as for one tokenizer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.capture.reading import BUDGET_BYTES, batches, read_chunks
from distill.capture.result import Captured, captured
from distill.capture.weights import weights_fingerprint
from distill.errors import Problem, RecipeError
from distill.progress import Listener, Progress
from distill.signals.aligned import Place, Projection, Written, entries, places, with_written
from distill.signals.cache import CacheWriter
from distill.signals.consistency import GoldTally, gold_loss, refuse_ignorant
from distill.signals.identity import Identity
from distill.signals.pieces import piece_bytes
from distill.signals.select import BUFFERS
from distill.signals.settings import CaptureSettings
from distill.signals.types import Signal, SignalRow, TopK, from_lists
from distill.signals.vocabulary import fingerprint
from teachers.local_model import LocalModel

PROBED_ROWS = 32


@dataclass(frozen=True, slots=True)
class TwoWays:
    """One row in the student's tokens and in the teacher's; both hold the same answer."""

    student: SignalRow
    teacher: SignalRow


def aligned_identity(teacher: LocalModel, tokenizer: Any, settings: CaptureSettings) -> Identity:
    """Whose signals these would be.

    Raises: RecipeError when the settings or the tokenizers do not allow it.
    """
    problem = None
    if settings.kind != "topk" or settings.temperatures:
        problem = Problem(
            key="train.signal",
            found="another tokenizer's probabilities are summed up at temperature 1",
            allowed="topk, at temperature 1",
        )
    elif piece_bytes(tokenizer) is None or piece_bytes(teacher.tokenizer) is None:
        problem = Problem(
            key="train.signal.cross_tokenizer",
            found="the pieces of one of the tokenizers do not join back to the text",
            allowed="byte-level and SentencePiece vocabularies",
            fix="Use the signal text.",
        )
    if problem is not None:
        raise RecipeError(str(problem), [problem])
    return Identity(
        teacher=teacher.source,
        teacher_fingerprint=weights_fingerprint(teacher.model, teacher.source)
        + fingerprint(teacher.tokenizer),
        tokenizer_fingerprint=fingerprint(tokenizer),
        vocabulary=max(tokenizer.get_vocab().values()) + 1,
        settings=settings.checked(),
    )


def capture_aligned(
    rows: Sequence[TwoWays],
    teacher: LocalModel,
    tokenizer: Any,
    ends: Mapping[int, int],
    settings: CaptureSettings,
    folder: Path | str,
    listen: Listener,
    *,
    budget_bytes: int = BUDGET_BYTES,
) -> Captured:
    """Fill the cache with every row that it does not hold yet.

    Args:
        rows: Each in both tokenizers.
        teacher: Is read, and stays loaded.
        tokenizer: Of the student.
        ends: The teacher's tokens that end an answer -> the student's.
        settings: What is kept; `topk` at temperature 1.
        folder: The cache; made when it is not there.
        listen: Is told after every batch.
        budget_bytes: Memory for logits and what is computed from them.

    Raises: RecipeError, DataError, RunError.
    """
    identity = aligned_identity(teacher, tokenizer, settings)
    reader = AlignedReader(teacher, tokenizer, ends, settings, budget_bytes)
    wanted = [row for row in rows if len(row.student.positions_N)]
    tally = GoldTally(identity.vocabulary)
    with CacheWriter(folder, identity) as writer:
        missing = {identity.key(row.student): row for row in wanted if row.student not in writer}
        done = stored = len(wanted) - len(missing)
        probed = False
        for batch in reader.batches(list(missing.values())):
            signals = reader.signals(batch)
            if not probed:
                refuse_ignorant(teacher.source, gold_loss(signals, identity.vocabulary))
                probed = True
            for row, signal in zip(batch, signals, strict=True):
                writer.add(row.student, signal)
            writer.commit()
            tally.add(signals)
            done += len(batch)
            listen(Progress("signals", done, len(wanted)))
    loss = tally.loss()
    return captured(str(folder), rows=len(wanted), stored=stored, loss=loss)


@dataclass(slots=True)
class _Read:
    """What the teacher said at one of its tokens: the student's distributions that begin there."""

    found: dict[int, tuple[Any, float, float]] = field(default_factory=dict)
    """Place in the student's answer -> distribution (S), tail, mass of the teacher's own token."""
    logp: float = 0.0
    """Of the teacher's own token."""


class AlignedReader:
    """Reads a teacher at its own tokens and tells it in the student's."""

    def __init__(
        self,
        teacher: LocalModel,
        tokenizer: Any,
        ends: Mapping[int, int],
        settings: CaptureSettings,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        self._teacher, self._settings, self._budget = teacher, settings, budget_bytes
        self._ours = piece_bytes(tokenizer) or []
        self._theirs = piece_bytes(teacher.tokenizer) or []
        self._projection = Projection(self._ours, self._theirs, ends)
        columns = int(teacher.model.config.get_text_config().vocab_size)
        self._width = min(columns, len(self._theirs))
        self._chunk = max(1, budget_bytes // (columns * 4 * BUFFERS))

    def batches(self, rows: Sequence[TwoWays]) -> Iterator[list[TwoWays]]:
        """The rows by the length of what the teacher reads."""
        both = {id(row.teacher): row for row in rows}
        for batch in batches(self._teacher, [row.teacher for row in rows]):
            yield [both[id(one)] for one in batch]

    def signals(self, batch: Sequence[TwoWays]) -> list[Signal]:
        """The signals of the rows, in order."""
        asked = [self._places(row) for row in batch]
        counts = [len(row.teacher.positions_N) for row in batch]
        firsts = np.concatenate([[0], np.cumsum(counts)])
        wanted: dict[int, list[tuple[int, Place]]] = {}
        for first, of_row in zip(firsts, asked, strict=False):
            for at, place in enumerate(of_row):
                if place is not None:
                    wanted.setdefault(int(first) + place.at, []).append((at, place))

        def use(logits_NV: Tensor, gold_N: Tensor, part: slice) -> list[_Read]:
            p_NV = logits_NV.double().softmax(-1).cpu().numpy()
            return [
                self._read(p_V, gold, wanted.get(part.start + at, []))
                for at, (p_V, gold) in enumerate(zip(p_NV, gold_N.tolist(), strict=True))
            ]

        rows = [row.teacher for row in batch]
        with torch.no_grad():
            chunks = read_chunks(self._teacher, rows, self._width, self._chunk, use)
        reads = [read for chunk in chunks for read in chunk]
        return [
            self._signal(row, of_row, reads[firsts[at] : firsts[at + 1]])
            for at, (row, of_row) in enumerate(zip(batch, asked, strict=True))
        ]

    def _places(self, row: TwoWays) -> list[Place | None]:
        ours = [self._piece(self._ours, at) for at in row.student.gold_N.tolist()]
        theirs = [self._piece(self._theirs, at) for at in row.teacher.gold_N.tolist()]
        return places(ours, theirs)

    def _piece(self, pieces: Sequence[bytes | None], at: int) -> bytes | None:
        return pieces[at] if at < len(pieces) else None

    def _read(self, p_V: Any, gold: int, wanted: Sequence[tuple[int, Place]]) -> _Read:
        read = _Read(logp=float(np.log(max(p_V[gold], 1e-300))))
        for at, place in wanted:
            p_S, tail = self._projection.distribution(p_V, place.prefix)
            goes_V = self._projection.target(place.prefix)
            whole = float(p_V[: len(goes_V)][goes_V != -2].sum())
            read.found[at] = (p_S, tail, float(p_V[gold]) / max(whole, 1e-300))
        return read

    def _signal(self, row: TwoWays, asked: Sequence[Place | None], reads: Sequence[_Read]) -> TopK:
        gold, theirs = row.student.gold_N.tolist(), row.teacher.gold_N.tolist()
        gold_logp: list[float] = []
        supports: list[list[tuple[int, float]]] = []
        for at, place in enumerate(asked):
            if place is None:
                gold_logp.append(float("nan"))
                supports.append([])
                continue
            p_S, tail, mass = reads[place.at].found[at]
            piece = self._piece(self._ours, gold[at])
            told = self._written(place, mass, piece, theirs, reads)
            p_S, tail = with_written(p_S, tail, gold[at], piece, told)
            gold_logp.append(float(np.log(max(p_S[gold[at]], 1e-30))))
            kept = entries(p_S, self._settings.k, self._settings.top_p, self._settings.min_k)
            supports.append(kept)
        return from_lists(gold_logp, supports)

    def _written(
        self,
        place: Place,
        mass: float,
        piece: bytes | None,
        theirs: Sequence[int],
        reads: Sequence[_Read],
    ) -> Written:
        own = theirs[place.at]
        rest = len(self._piece(self._theirs, own) or b"") - len(place.prefix)
        chain, covered, at = 0.0, rest, place.at + 1
        while piece is not None and covered < len(piece) and at < len(theirs):
            chain += reads[at].logp
            covered += len(self._piece(self._theirs, theirs[at]) or b"")
            at += 1
        goes_V = self._projection.target(place.prefix)
        goes = int(goes_V[own]) if own < len(goes_V) else -2
        return Written(goes, mass, rest, float(np.exp(chain)))
