"""agree."""


def test_votes_of_another_field(sift):
    """The share of votes for the field's value is compared with min and kept as the score."""
    filter = {"agree": {"with": "check", "min": 0.66}}
    rows = sift(
        filter,
        {"label": "a", "check": "a", "check_votes": {"a": 2, "b": 1}},
        {"label": "a", "check": "b", "check_votes": {"a": 1, "b": 2}},
        {"label": "a", "check": "a", "check_votes": {"a": 3, "b": 2}},
        {"label": "a", "check": "a"},
        {"label": "a", "check": "b"},
        {"label": "a"},
    )
    assert [row.reason for row in rows] == [
        None,
        "agree:disagree",
        "agree:unclear",
        None,
        "agree:disagree",
        "agree:missing_field",
    ]
    assert [row.score for row in rows[:4]] == [2 / 3, 1 / 3, 0.6, 1.0]


def test_a_tie_is_unclear_not_a_disagreement(reasons):
    """A value with as many votes as the modal one passes where min allows."""
    row = {"label": "b", "check": "a", "check_votes": {"a": 1, "b": 1}}
    assert reasons({"agree": {"with": "check", "min": 0.5}}, row) == [None]
    assert reasons({"agree": {"with": "check", "min": 0.6}}, row) == ["agree:unclear"]


def test_own_votes_and_own_probability(reasons):
    """Without `with` the field's own votes count, or the probability of a single answer."""
    rows = [
        {"label": "a", "label_votes": {"a": 3, "b": 1}},
        {"label": "a", "label_p": 0.7},
        {"label": "a", "label_p": 0.95},
        {"label": "a"},
    ]
    assert reasons({"agree": {"min": 0.9}}, *rows) == [
        "agree:unclear",
        "agree:unclear",
        None,
        "agree:no_votes",
    ]
