"""ROUGE-L against a growing pool of texts, in native code.

ROUGE-L (Lin 2004) as an F-measure is 2 LCS / (m + n), which is what rapidfuzz calls the normalised
similarity of insertions and deletions; words are numbered and compared as characters.
"""

from distill.measure.duplicates import NearDuplicates, normalise

WHOLE_POOL = 20_000
"""Texts that are compared with all others; beyond, MinHash of words proposes which to compare."""
_LAST = 0x10FFFF


class RougePool:
    """Texts kept so far, asked for one whose ROUGE-L with another reaches `least`."""

    def __init__(self, least: float) -> None:
        from rapidfuzz import process
        from rapidfuzz.distance import Indel

        self._extract = process.extractOne
        self._similarity = Indel.normalized_similarity
        self._least = least
        self._numbers: dict[str, str] = {}
        self._pool: list[str] = []
        self._texts: list[str] = []
        # LCS >= least (m + n) / 2 words are shared, so Jaccard of words is at least this.
        self._index = NearDuplicates(least / (2 - least), ngram=1)

    def __len__(self) -> int:
        return len(self._pool)

    def nearest(self, text: str) -> float | None:
        """Returns the largest ROUGE-L (0 to 1) with a kept text, None where it is below `least`."""
        coded = self._coded(text)
        if len(self._pool) <= WHOLE_POOL:
            pool = self._pool
        else:
            start = len(self._index)
            self._index.extend((str(start + at), one) for at, one in enumerate(self._texts))
            self._texts.clear()
            pool = [self._pool[int(at)] for at, _ in self._index.all("", text)]
        found = self._extract(coded, pool, scorer=self._similarity, score_cutoff=self._least)
        return None if found is None else float(found[1])

    def add(self, text: str) -> None:
        """Keeps a text."""
        self._texts.append(text)
        self._pool.append(self._coded(text))

    def _coded(self, text: str) -> str:
        numbers = self._numbers
        return "".join(
            numbers.get(word) or numbers.setdefault(word, chr(1 + len(numbers) % _LAST))
            for word in normalise(text).split()
        )


def rouge_l(one: str, other: str) -> float:
    """Returns the ROUGE-L F-measure of two texts, 0 to 1."""
    from rapidfuzz.distance import Indel

    return float(Indel.normalized_similarity(normalise(one).split(), normalise(other).split()))
