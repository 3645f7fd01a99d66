"""How much of what a system writes stood word for word in what it learnt from, or was shown.

A run of 13 words counts, as in the contamination studies of Brown et al. 2020 (arXiv:2005.14165,
appendix C): shorter ones are shared by chance.
"""

from collections.abc import Iterable, Sequence

from distill.measure.duplicates import normalise
from distill.measure.intervals import Figure, nothing, proportion
from distill.measure.ngrams import NgramIndex

RUN = 13
"""Words in a row."""


class Reuse:
    """An index of texts, asked whether an answer holds 13 words in a row of one of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._index = NgramIndex(RUN)
        for text in texts:
            if len(normalise(text).split()) >= RUN:
                self._index.add(text)

    def holds(self, answer: str) -> bool:
        """Whether it does."""
        return self._index.hit(answer) is not None


def verbatim_figure(reused: Sequence[bool | None] | None) -> Figure:
    """The share of the answers that reuse text; those that are missing are left out."""
    known = [one for one in reused or () if one is not None]
    return proportion(sum(known), len(known)) if known else nothing("nothing was answered")


def reused(
    answers: Sequence[str | None], trained: Reuse, shown: Sequence[str] = ()
) -> list[bool | None]:
    """Of every answer whether it holds such a run of a training row, or of a shown example.

    Args:
        answers: One per row; None where there is none.
        trained: The training rows.
        shown: Examples that stood in the system's prompt.
    """
    examples = Reuse(shown)
    return [
        None if answer is None else trained.holds(answer) or examples.holds(answer)
        for answer in answers
    ]
