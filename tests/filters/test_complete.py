"""complete."""

RULES = ({"when": "it broke", "answers": ["2"]}, {"when": "2 \\+ 2", "answers": ["4"]})
ROWS = ({"text": "it broke", "label": "bug 17"}, {"text": "what is 2 + 2", "label": "4"})


def test_rows_that_lack_something_go(sift, teachers):
    """Our own rubric asks whether the answer can be arrived at; its middle is the threshold."""
    big = teachers(*RULES)
    rows = sift({"complete": {"ask": "big"}}, *ROWS, {"text": "x"}, teachers=big)
    assert [row.reason for row in rows] == ["complete:incomplete", None, "complete:missing_field"]
    assert "all that is needed to arrive at its answer" in big["big"].asked[0].messages[-1].content


def test_another_threshold_and_rubric(reasons, teachers):
    """`min` is a step of the scale; a rubric of the recipe's own takes the place of ours."""
    big = teachers(*RULES)
    assert reasons({"complete": {"ask": "big", "min": 2}}, *ROWS, teachers=big) == [None, None]
    yes_no = "---\nscale: [no, yes]\n---\nIs it complete?\n"
    plain = teachers({"when": ".", "answers": ["yes"]})
    filter = {"complete": {"ask": "big", "rubric": yes_no}}
    assert reasons(filter, *ROWS, teachers=plain) == [None, None]
