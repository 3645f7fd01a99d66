"""semantic_duplicate."""

import sys

import pytest

from distill.errors import PrerequisiteError


def test_the_same_meaning_in_other_words_goes(sift, embeddings):
    """The first row of a meaning stays; the score is the cosine. Unknown words mean nothing."""
    filter = {"semantic_duplicate": {"model": embeddings, "similarity": 0.97}}
    rows = sift(
        filter,
        {"text": "cat dog"},
        {"text": "horse sheep"},
        {"text": "invoice refund"},
        {"text": "zzz"},
        {"text": "qqq"},
        {"label": "a"},
    )
    assert [row.reason for row in rows] == [
        None,
        "semantic_duplicate",
        None,
        None,
        None,
        "semantic_duplicate:missing_field",
    ]
    assert 0.97 < rows[1].score <= 1.0


def test_another_threshold_keeps_it(reasons, embeddings):
    """Cosine below the threshold is another meaning."""
    filter = {"semantic_duplicate": {"model": embeddings, "similarity": 0.999}}
    assert reasons(filter, {"text": "cat dog"}, {"text": "sheep goat"}) == [None, None]


def test_what_is_missing_is_said(sift, tmp_path, monkeypatch):
    """A folder without a model, and the extra that is not there, each with what to do."""
    with pytest.raises(PrerequisiteError, match="no static embedding model"):
        sift({"semantic_duplicate": {"model": str(tmp_path)}}, {"text": "x"})
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'distill-kit\[semantic\]'"):
        sift("semantic_duplicate", {"text": "x"})
