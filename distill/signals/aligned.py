"""A teacher's next-token distributions in the tokens of a student that cuts text in another way.

Both write the same bytes. A student's token that starts at byte o is looked at where the teacher
was while it wrote byte o: what its tokens would continue with, after the bytes of its own token
that lie before o, is summed up by the student's token that would come first. What cannot be told
(the teacher's token ends there and another would follow, a piece of a character, a longer token of
the student's) stays in the tail. The written token itself follows the chain rule over the teacher's
tokens that it spans. Source: span merging of GOLD (TRL) and of byte-level marginals (Phan et al.
2024, arXiv:2410.09303); unlike ULD (Boizard et al. 2024, arXiv:2402.12030) ids keep their meaning.
Shapes: V teacher's vocabulary, S student's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

TAIL, GONE = -1, -2
"""Where a teacher's token goes that no single token of the student stands for, or none at all."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the teacher is asked about one token of the student."""

    at: int
    """Which supervised token of the teacher's covers the byte."""
    prefix: bytes
    """The bytes of that token before it."""


def places(student: Sequence[bytes | None], teacher: Sequence[bytes | None]) -> list[Place | None]:
    """For every token of the student's answer where the teacher is asked; None: it cannot be.

    A None at the end is the token that ends the answer. Both answers begin at one byte and may be
    cut short at different places; from an unknown token on, nothing is aligned.
    """
    ours, our_end = _body(student)
    theirs, their_end = _body(teacher)
    mine, other = b"".join(ours), b"".join(theirs)
    same = _common(mine, other)
    starts_M = np.cumsum([0, *map(len, theirs)])
    found: list[Place | None] = []
    at = 0
    for piece in ours:
        place = None
        if at + len(piece) <= same:
            token = int(np.searchsorted(starts_M, at, side="right")) - 1
            place = Place(token, theirs[token][: at - int(starts_M[token])])
        found.append(place)
        at += len(piece)
    if our_end and len(ours) == len(student) - 1:
        closed = their_end and len(theirs) == len(teacher) - 1 and mine == other
        found.append(Place(len(theirs), b"") if closed else None)
    return found + [None] * (len(student) - len(found))


def _body(pieces: Sequence[bytes | None]) -> tuple[list[bytes], bool]:
    """The known bytes before the first unknown token, and whether the answer is ended."""
    closed = bool(pieces) and pieces[-1] is None
    return list(takewhile(lambda piece: piece is not None, pieces)), closed  # type: ignore[arg-type]


def _common(one: bytes, other: bytes) -> int:
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)


class Projection:
    """Sums a teacher's probabilities up by the student's tokens."""

    def __init__(
        self,
        student: Sequence[bytes | None],
        teacher: Sequence[bytes | None],
        ends: Mapping[int, int],
    ) -> None:
        """`ends`: the teacher's tokens that end an answer -> the student's."""
        self._ids = {piece: at for at, piece in reversed(list(enumerate(student))) if piece}
        self._longest = max(map(len, self._ids), default=1)
        self._teacher, self._ends, self._size = teacher, ends, len(student)
        self._maps: dict[bytes, NDArray[np.int64]] = {}

    def first(self, content: bytes) -> int:
        """The student's token that a text with these bytes starts with; TAIL where it may vary."""
        for size in range(min(self._longest, len(content)), 0, -1):
            at = self._ids.get(content[:size])
            if at is None:
                continue
            # Half a character: which token comes depends on bytes that are not there yet.
            whole = size < len(content) or _whole_characters(content)
            return at if whole else TAIL
        return TAIL

    def target(self, prefix: bytes) -> NDArray[np.int64]:
        """Where each of the teacher's tokens goes after these bytes: (V)."""
        if prefix not in self._maps:
            self._maps[prefix] = np.fromiter(
                (self._goes(at, piece, prefix) for at, piece in enumerate(self._teacher)), np.int64
            )
        return self._maps[prefix]

    def distribution(
        self, p_V: NDArray[np.float64], prefix: bytes
    ) -> tuple[NDArray[np.float64], float]:
        """The student's tokens (S), and the mass that belongs to none of them surely."""
        goes_V = self.target(prefix)[: len(p_V)]
        p_V = p_V[: len(goes_V)]
        kept = goes_V >= 0
        p_S: NDArray[np.float64] = np.zeros(self._size)
        np.add.at(p_S, goes_V[kept], p_V[kept])
        tail = float(p_V[goes_V == TAIL].sum())
        whole = float(p_S.sum()) + tail
        if whole <= 0:
            return p_S, 1.0
        return p_S / whole, tail / whole

    def _goes(self, at: int, piece: bytes | None, prefix: bytes) -> int:
        if piece is None:
            return self._ends.get(at, GONE) if not prefix else GONE
        if piece == prefix:
            return TAIL  # it may be all of it, and another token follows
        return self.first(piece[len(prefix) :]) if piece.startswith(prefix) else GONE


@dataclass(frozen=True, slots=True)
class Written:
    """What the teacher's own next token has to do with the student's."""

    goes: int
    """The student's token that its mass was given to."""
    mass: float
    """Its probability after the prefix."""
    rest: int
    """Bytes of it behind the prefix."""
    chain: float
    """Probability of the teacher's further tokens that the student's token spans."""


def with_written(
    p_S: NDArray[np.float64],
    tail: float,
    gold: int,
    piece: bytes | None,
    told: "Written",
) -> tuple[NDArray[np.float64], float]:
    """The distribution with the written token's own probability by the chain rule.

    Where it is longer than what is left of the teacher's token, only the chain's share of that
    token's mass is its own; the rest is left to the tail.
    """
    if piece is None or (told.goes == gold and told.rest >= len(piece)):
        return p_S, tail
    p_S = p_S.copy()
    if told.goes >= 0:
        taken = min(told.mass, float(p_S[told.goes]))
        p_S[told.goes] -= taken
    else:
        taken = min(told.mass, tail)
        tail -= taken
    share = taken if told.rest >= len(piece) else taken * told.chain
    p_S[gold] += share
    return p_S, tail + taken - share


def _whole_characters(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        # Bytes that can never be text are what they are; a cut at the end is not.
        return error.end < len(content) or error.reason != "unexpected end of data"
    return True


def entries(
    p_S: NDArray[np.float64], k: int, top_p: float | None, min_k: int
) -> list[tuple[int, float]]:
    """The likeliest tokens with their log-probabilities: at most k, or as many as hold top_p."""
    order: NDArray[Any] = np.argsort(-p_S, kind="stable")[:k]
    order = order[p_S[order] > 0]
    if top_p is not None:
        before = np.cumsum(p_S[order]) - p_S[order]
        order = order[(before < top_p) | (np.arange(len(order)) < min_k)]
    return [(int(at), float(np.log(p_S[at]))) for at in order]
