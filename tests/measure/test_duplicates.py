"""Near-duplicate search against brute force."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.measure import duplicates
from distill.measure.duplicates import NearDuplicates, clusters, normalise, shingles

WORDS = [f"word{number}" for number in range(400)]


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def texts_with_copies(count: int, seed: int) -> list[str]:
    """Random texts, a third of them earlier ones with a few words changed."""
    rng = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        if texts and rng.random() < 0.35:
            words = rng.choice(texts).split()
            for _ in range(rng.randint(0, 4)):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
        else:
            words = rng.choices(WORDS, k=rng.randint(2, 60))
        texts.append(" ".join(words))
    return texts


@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.95])
def test_finds_the_pairs_that_brute_force_finds(similarity):
    """On 500 rows the index names exactly the earlier texts that exact Jaccard names."""
    texts = texts_with_copies(500, seed=3)
    sets = [shingles(text) for text in texts]
    index = NearDuplicates(similarity)
    pairs = 0
    for at, text in enumerate(texts):
        expected = {
            str(other)
            for other in range(at)
            if len(sets[at] & sets[other]) >= similarity * len(sets[at] | sets[other])
        }
        assert {id for id, _ in index.all(str(at), text)} == expected
        index.add(str(at), text)
        pairs += len(expected)
    assert pairs > 20


def test_find_returns_the_most_similar_and_not_itself():
    """`find` gives the nearest other text with its similarity."""
    index = NearDuplicates(0.5)
    index.add("far", "one two three four five six seven x y")
    index.add("near", "one two three four five six seven eight x")
    text = "one two three four five six seven eight nine"
    index.add("self", text)
    found = index.find("self", text)
    assert found is not None
    assert found[0] == "near"
    assert found[1] == pytest.approx(jaccard(text, "one two three four five six seven eight x"))
    assert index.find("new", "nothing of the kind stands here") is None


def test_short_texts_are_compared_by_characters():
    """Texts of fewer than three words still have near-duplicates."""
    index = NearDuplicates(0.6)
    index.add("a", "cancel subscription")
    assert index.find("b", "Cancel subscriptions!") is not None
    assert index.find("b", "refund please") is None
    index.add("empty", "")
    assert index.find("other", "") == ("empty", 1.0)


def test_normalise_drops_only_what_does_not_count():
    """Case, punctuation, width and white space go; symbols, marks and words stay."""
    assert normalise("  Don't\tPANIC,\nfriend!! ") == "dont panic friend"
    assert normalise("\uff46ull") == "full"
    assert normalise("C++ is 2 + 2") == "c++ is 2 + 2"
    assert normalise("किताब") == "किताब"
    assert normalise("...") == "..."
    assert normalise("🙂") != normalise("🙁")


def test_the_first_of_each_is_kept_over_blocks():
    """Rows read in blocks are compared with all that were kept before, as one by one."""
    texts = texts_with_copies(2500, seed=5)
    index, one_by_one = NearDuplicates(0.8), NearDuplicates(0.8)
    rows = [(str(at), text) for at, text in enumerate(texts)]
    for (id, found), (same, text) in zip(index.add_if_new(iter(rows)), rows, strict=True):
        expected = one_by_one.find(same, text)
        assert (id, found) == (same, expected)
        if expected is None:
            one_by_one.add(same, text)
    assert len(index) == len(one_by_one) < 2500


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_many_at_once_are_what_one_by_one_gives(monkeypatch, chunk):
    """Whatever the chunks, and whatever was added before and is asked afterwards."""
    monkeypatch.setattr(duplicates, "CHUNK", chunk)
    luck = random.Random(3)
    words = [f"w{at}" for at in range(40)]
    texts = [" ".join(luck.choices(words, k=9)) for _ in range(60)]
    for _ in range(240):
        copy = luck.choice(texts).split()
        copy[luck.randrange(9)] = luck.choice(words)
        texts.append(" ".join(copy))
    rows = [(str(at), text) for at, text in enumerate(texts)]
    one, many = NearDuplicates(0.5), NearDuplicates(0.5)
    expected = []
    for id, text in rows:
        near = one.find(id, text)
        if near is None:
            one.add(id, text)
        expected.append((id, near))
    many.add(*rows[0])
    found = [*many.add_if_new(rows[1:150]), *many.add_if_new(rows[150:])]
    assert [(rows[0][0], None), *found] == expected
    assert 20 < len(many) < 290
    assert [many.all("x", text) for text in texts] == [one.all("x", text) for text in texts]


def test_a_heap_of_near_copies_costs_little():
    """A thousand near copies are one cluster: one match joins a row to all of them."""
    words = " ".join(WORDS[:40])
    rows = {f"{at:04}": f"{words} end{at}" for at in range(1000)}
    started = time.process_time()
    found = clusters(rows, 0.8)
    assert set(found.values()) == {"0000"}
    assert time.process_time() - started < 5


def test_ascii_is_normalised_like_everything_else():
    """The short way for ASCII gives what the long way gives."""
    luck = random.Random(6)
    alphabet = [chr(code) for code in range(128)]
    for _ in range(500):
        text = "".join(luck.choices(alphabet, k=30))
        longer = normalise(text + " \u00e9")
        plain = normalise(text)
        assert longer == f"{plain} \u00e9".strip() or not any(c.isalnum() for c in plain)


@settings(deadline=None)
@given(st.lists(st.text(alphabet="ab ", max_size=12), max_size=25))
def test_clusters_are_the_connected_components(texts):
    """Rows linked by any chain of near-duplicates share the smallest id, and only those."""
    rows = {f"r{at:02}": text for at, text in enumerate(texts)}
    found = clusters(rows, 0.6)
    label = {id: id for id in rows}
    for _ in rows:
        for one in rows:
            for other in rows:
                if jaccard(rows[one], rows[other]) >= 0.6:
                    label[one] = label[other] = min(label[one], label[other])
    assert found == label
