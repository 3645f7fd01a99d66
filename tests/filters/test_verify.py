"""verify."""

import pytest

from distill.errors import RecipeError
from distill.filters.verify import last_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18 eggs ... so 9 * 2 = <<9*2=18>>18.\n#### 18", 18),
        ("The total is $1,234.50.", 1234.5),
        (r"Hence \boxed{-3/4}, as claimed in step 2.", -0.75),
        ("The answer is 42. I checked it 3 times.", 42),
        ("about 1e-3 or so", 0.001),
        ("-7", -7),
        ("no number at all", None),
        ("1/0", None),
        ("12.", 12),
        ("3 apples and 5 pears", 5),
    ],
)
def test_the_number_that_a_text_arrives_at(text, number):
    """The marked one, else the last."""
    assert last_number(text) == (None if number is None else pytest.approx(number))


def test_numbers_are_compared(reasons):
    """Other digits are wrong, other ways of writing are not; no number is its own reason."""
    filter = {"verify": {"field": "label", "with": "truth", "number": True}}
    rows = [("so it is 1,200", 1200), ("1200.0", "1200"), ("1201", 1200), ("many", 1200)]
    found = reasons(filter, *({"label": a, "truth": b} for a, b in rows), {"label": "3"})
    assert found == [
        None,
        None,
        "verify:wrong",
        "verify:no_number",
        "verify:missing_field",
    ]
    assert reasons({"verify": {"number": True}}, {"label": "x 3"}, {"label": "x"}) == [
        None,
        "verify:no_number",
    ]


def test_patterns_and_their_group(reasons):
    """Without `with` the pattern must be found; with it, its group must be the right answer."""
    assert reasons({"verify": {"regex": r"^\d+$"}}, {"label": "12"}, {"label": "a"}) == [
        None,
        "verify:no_match",
    ]
    filter = {"verify": {"regex": r"Answer: (\w+)", "with": "truth"}}
    rows = ({"label": "Answer: Yes", "truth": "yes"}, {"label": "Answer: no", "truth": "yes"})
    assert reasons(filter, *rows) == [None, "verify:wrong"]


FUNCTIONS = """
def short(fields):
    return len(fields["label"]) < 4

def why(fields):
    return "too_long" if len(fields["label"]) > 3 else None

def breaks(fields):
    return 1 / 0
"""


def test_the_users_own_function(reasons, tmp_path):
    """True keeps, text is the reason, a fault of the answer's making drops the row."""
    (tmp_path / "checks.py").write_text(FUNCTIONS)
    rows = ({"label": "abc"}, {"label": "abcd"})

    def found(name, place="checks.py"):
        return reasons({"verify": {"python": f"{place}:{name}"}}, *rows, source=tmp_path)

    assert found("short") == [None, "verify:wrong"]
    assert found("why") == [None, "verify:too_long"]
    assert found("breaks") == ["verify:error"] * 2
    with pytest.raises(RecipeError, match="has no function 'shrot'"):
        found("shrot")


def test_the_text_of_a_row_is_never_run(reasons, tmp_path):
    """Code in an answer stays text, whatever is checked."""
    mark = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(mark)!r}).touch() or 4"
    found = reasons({"verify": {"number": True, "with": "truth"}}, {"label": code, "truth": "4"})
    assert found == [None]
    assert not mark.exists()
