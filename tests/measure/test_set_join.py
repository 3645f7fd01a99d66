"""Joins of similar texts miss nothing, and clusters are those of the MinHash index."""

import random

import pytest

from distill.measure import set_join
from distill.measure.duplicates import clusters, shingles
from distill.measure.set_join import TooManyPairs, near_clusters, similar_pairs
from distill.measure.words import Words


@pytest.fixture(scope="module")
def texts():
    """Short texts of a small vocabulary, many of them changed copies of others."""
    rng = random.Random(5)
    words = [f"w{n}" for n in range(40)]
    made = [" ".join(rng.choices(words, k=rng.randint(1, 14))) for _ in range(150)]
    for text in made[:100]:
        parts = text.split()
        parts[rng.randrange(len(parts))] = rng.choice(words)
        made.append(" ".join(parts))
    return [*made, made[3].upper(), "", "  ", "ok", "ok!"]


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.8, 1.0])
def test_no_pair_is_missed(texts, similarity):
    """The pairs are those that comparing every text with every other one gives."""
    words = Words(texts)
    runs = words.runs(2)
    found = {
        (int(a), int(b)): float(s)
        for left, right, alike in similar_pairs(runs, runs, len(words), similarity)
        for a, b, s in zip(left, right, alike, strict=True)
    }
    sets = [{*zip(p.split(), p.split()[1:], strict=False)} for p in words.plain]
    brute = {
        (a, b): len(x & y) / len(x | y)
        for a, x in enumerate(sets)
        for b, y in enumerate(sets)
        if x and y and len(x & y) / len(x | y) >= similarity
    }
    assert found == pytest.approx(brute)


def test_clusters_are_those_of_the_index(texts):
    """The join and the MinHash index of the filters call the same rows near-duplicates."""
    index: dict[str, set[int]] = {}
    for name, first in clusters({f"{at:03}": t for at, t in enumerate(texts)}, 0.8).items():
        index.setdefault(first, set()).add(int(name))
    expected = {frozenset(g) for g in index.values() if len(g) > 1}
    empty = {at for at, plain in enumerate(Words(texts).plain) if not plain}
    found = {frozenset(group) for group in near_clusters(Words(texts), texts, 0.8)}
    assert found == {g for g in expected if not g <= empty}


def test_a_template_falls_back_to_the_index(texts, monkeypatch):
    """Too many candidate pairs give the same clusters, by another way."""
    straight = near_clusters(Words(texts), texts, 0.8)
    monkeypatch.setattr(set_join, "MOST_WORK", 10)
    runs = Words(texts).runs(2)
    with pytest.raises(TooManyPairs):
        list(similar_pairs(runs, runs, len(texts), 0.8))
    assert near_clusters(Words(texts), texts, 0.8) == straight


def test_words_of_scripts_without_blanks():
    """Each Chinese character is a word, so that one changed sign is no different text."""
    one = "\u6b22\u8fce\u6765\u5230\u963f\u91cc\u5df4\u5df4\u8fd9\u662f\u6d4b\u8bd5"
    words = Words([one, one + "\uff01"])
    assert words.counts.tolist() == [12, 12]
    assert shingles("a b c")
