"""regex."""


def test_match_and_forbid(reasons):
    """A row needs the one pattern and must not hold the other."""
    filter = {"regex": {"field": "label", "match": "^a", "forbid": "x$"}}
    rows = [{"label": label} for label in ("ab", "ba", "ax")]
    assert reasons(filter, *rows) == [None, "regex:no_match", "regex:forbidden"]
