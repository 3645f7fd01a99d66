"""novelty."""

import asyncio
import random

import pytest

from distill.filters.chain import build_chain
from distill.measure import rouge
from distill.measure.duplicates import normalise
from distill.rows.row import Row


def longest_common(one, other):
    """The textbook table of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for a in one:
        new = [0]
        for at, b in enumerate(other):
            new.append(row[at] + 1 if a == b else max(row[at + 1], new[-1]))
        row = new
    return row[-1]


def test_rouge_l_is_that_of_the_textbook():
    """On random texts the native figure equals 2 LCS / (m + n)."""
    luck = random.Random(4)
    words = ["the", "a", "card", "my", "is", "lost", "where", "new", "how", "do", "I"]
    for _ in range(100):
        one, other = (luck.choices(words, k=luck.randint(1, 12)) for _ in range(2))
        expected = (
            2
            * longest_common(normalise(" ".join(one)).split(), normalise(" ".join(other)).split())
            / (len(one) + len(other))
        )
        assert rouge.rouge_l(" ".join(one), " ".join(other)) == pytest.approx(expected)


def test_the_like_of_a_kept_row_goes(sift):
    """Words in the same order count, case and punctuation do not; the score is the ROUGE-L."""
    kept, like, other, missing = sift(
        "novelty",
        {"text": "write a short story about a dog in the snow"},
        {"text": "Write a long story about a cat in the snow!"},
        {"text": "translate this sentence into French"},
        {"label": "a"},
    )
    assert (kept.reason, other.reason) == (None, None)
    assert (like.reason, like.score) == ("novelty:not_novel", 0.8)
    assert missing.reason == "novelty:missing_field"


def test_the_better_of_two_stays_over_rounds(recipe_of):
    """Within a round the higher earlier score, over rounds the earlier."""
    chain = build_chain(recipe_of({"agree": {"field": "label"}}, "novelty"), gold=[])
    rows = [
        Row("a", {"text": "one two three", "label": "a", "label_votes": {"a": 2, "b": 1}}),
        Row("b", {"text": "one two three", "label": "a", "label_votes": {"a": 3}}),
    ]
    assert [row.status for row in asyncio.run(chain.sift(rows))] == ["rejected", "accepted"]
    late = Row("0", {"text": "one two three", "label": "a", "label_votes": {"a": 3}})
    assert asyncio.run(chain.sift([late]))[0].reason == "novelty:not_novel"


def test_a_large_pool_finds_the_same(monkeypatch):
    """Beyond WHOLE_POOL, MinHash proposes what to compare, and nothing alike is missed."""
    monkeypatch.setattr(rouge, "WHOLE_POOL", 0)
    luck = random.Random(5)
    words = [f"w{at}" for at in range(200)]
    small, large = rouge.RougePool(0.7), rouge.RougePool(0.7)
    texts = []
    for _ in range(300):
        text = luck.choices(words, k=20)
        if texts and luck.random() < 0.4:
            text = luck.choice(texts).split()
            for _ in range(luck.randint(0, 5)):
                text[luck.randrange(20)] = luck.choice(words)
        texts.append(" ".join(text))
    found = []
    for text in texts:
        found.append(large.nearest(text))
        monkeypatch.setattr(rouge, "WHOLE_POOL", 10**9)
        assert small.nearest(text) == found[-1]
        monkeypatch.setattr(rouge, "WHOLE_POOL", 0)
        for pool in (small, large):
            pool.add(text)
    assert sum(value is not None for value in found) > 50
