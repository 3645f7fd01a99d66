"""outlier."""

import pytest

ANIMALS = ["cat", "dog", "horse", "sheep", "cow", "goat"]


@pytest.fixture
def texts():
    """Fifteen texts about animals and one about the weather."""
    pairs = [f"{a} {b}" for at, a in enumerate(ANIMALS) for b in ANIMALS[at + 1 :]]
    return [*({"text": text} for text in pairs[:15]), {"text": "storm cloud"}]


def test_the_farthest_share_goes(sift, embeddings, texts):
    """One of sixteen rows is farthest from its neighbours; the score is its mean cosine."""
    rows = sift({"outlier": {"model": embeddings, "share": 0.07}}, *texts, {"label": "a"})
    assert [row.reason for row in rows] == [None] * 15 + ["outlier", "outlier:missing_field"]
    assert rows[15].score < 0.1 < 0.9 < rows[0].verdicts[0].score


def test_a_least_similarity(reasons, embeddings, texts):
    """With `min` as many go as are too far, which may be none."""
    assert reasons({"outlier": {"model": embeddings, "min": 0.5}}, *texts)[-1] == "outlier"
    same = reasons({"outlier": {"model": embeddings, "min": 0.5}}, *texts[:15])
    assert set(same) == {None}


def test_one_row_is_no_outlier(reasons, embeddings):
    """Without others there is nothing to be far from."""
    assert reasons({"outlier": {"model": embeddings, "share": 0.5}}, {"text": "cat"}) == [None]
