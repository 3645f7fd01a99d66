"""Texts as runs of words, held as arrays: set joins and counts over 100,000 texts in seconds.

A word is what white space parts after normalising; of scripts that part nothing (Chinese,
Japanese) each character is one. numpy belongs to the extra `evaluate`.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from distill.errors import PrerequisiteError, Problem
from distill.measure.duplicates import normalise

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Hashes = npt.NDArray[np.uint64]

_UNPARTED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_MULTIPLIER = 0x9E3779B97F4A7C15


class Words:
    """Texts as codes of their words.

    `codes` (W,) holds the words of all texts one after the other, `starts` (N + 1,) where each text
    begins, `counts` (N,) their words, `plain` the normalised texts. A word has the same code in
    all texts: two words share one by chance once in 2**64.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        np = numpy()
        self.plain = [normalise(text) for text in texts]
        known: dict[str, int] = {}
        flat: list[int] = []
        starts = [0]
        for plain in self.plain:
            flat += [known.setdefault(word, len(known)) for word in split_words(plain)]
            starts.append(len(flat))
        codes = np.fromiter((word_code(word) for word in known), np.uint64, len(known))
        self.codes: Hashes = codes[np.asarray(flat, np.int64)]
        self.starts: Ints = np.asarray(starts, np.int64)
        self.counts: Ints = np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.plain)

    def and_then(self, other: "Words") -> "Words":
        """Returns these texts with those of another behind them."""
        np = numpy()
        both = Words(())
        both.plain = self.plain + other.plain
        both.codes = np.concatenate([self.codes, other.codes])
        both.starts = np.concatenate([self.starts, other.starts[1:] + self.starts[-1]])
        both.counts = np.concatenate([self.counts, other.counts])
        return both

    def runs(self, n: int, rows: "Ints | None" = None) -> "tuple[Hashes, Ints]":
        """Returns the hashes of all runs of n words (R,), and the text that each stands in (R,).

        A run never crosses from one text into the next.
        """
        np = numpy()
        chosen = np.arange(len(self)) if rows is None else rows
        sizes = np.maximum(self.counts[chosen] - n + 1, 0)
        owner = np.repeat(chosen, sizes)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        at = np.repeat(self.starts[:-1][chosen], sizes) + within
        total = np.zeros(len(at), np.uint64)
        with np.errstate(over="ignore"):
            for step in range(n):
                total = total * np.uint64(_MULTIPLIER) + self.codes[at + step]
        return total, owner


def word_code(word: str) -> int:
    """Returns 64 bits that stand for a word in every text and every process."""
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())


def split_words(plain: str) -> list[str]:
    """Returns the words of a normalised text."""
    if not plain.isascii():
        plain = _UNPARTED.sub(r" \1 ", plain)
    return plain.split()


def numpy() -> Any:
    """Returns numpy, or raises PrerequisiteError with the line to type."""
    try:
        import numpy as np
    except ImportError as missing:
        line = "pip install 'distill-kit[evaluate]'"
        raise PrerequisiteError(
            f"numpy is not installed; this needs it: {line}",
            [Problem(found="package numpy is missing", fix=line)],
        ) from missing
    return np
