"""label_noise."""

import random

WORDS = {"a": ["invoice", "refund", "charge", "price"], "b": ["crash", "error", "freeze", "screen"]}


def texts(count, wrong):
    """Rows with clear words, the first so many of them labelled wrong."""
    luck = random.Random(2)
    rows = []
    for at in range(count):
        true = "ab"[at % 2]
        given = "ba"[at % 2] if at < wrong else true
        rows.append({"text": " ".join(luck.choices(WORDS[true], k=5)), "label": given})
    return rows


def test_planted_errors_go(sift):
    """Rows whose words speak for the other label are suspected; the score is low."""
    rows = sift("label_noise", *texts(80, 6), {"text": "x"})
    found = [row for row in rows[:80] if row.reason == "label_noise:suspected"]
    assert len({row.id for row in found} & {row.id for row in rows[:6]}) >= 4
    assert len(found) <= 7
    assert max(row.score for row in found) < 0.5
    assert rows[80].reason == "label_noise:missing_field"


def test_min_spares_the_doubtful(reasons):
    """With min 0 nothing that is merely suspected goes."""
    assert set(reasons({"label_noise": {"min": 0}}, *texts(80, 6))) == {None}


def test_static_embeddings_in_place_of_tfidf(reasons, embeddings):
    """Words of a topic that were never seen with the label still speak for it."""
    rows = [{"text": word, "label": "a"} for word in ("cat", "dog", "horse", "sheep", "cow") * 4]
    rows += [{"text": word, "label": "b"} for word in ("rain", "snow", "wind", "storm", "sun") * 4]
    found = reasons({"label_noise": {"model": embeddings}}, *rows, {"text": "goat", "label": "b"})
    assert found == [None] * 40 + ["label_noise:suspected"]


def test_too_few_rows_are_all_kept(sift):
    """Nothing can be learnt, so nothing is suspected."""
    assert {row.reason for row in sift("label_noise", *texts(6, 3))} == {None}
