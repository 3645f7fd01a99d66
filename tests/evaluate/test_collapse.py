"""Collapse: texts that repeat themselves, labels that are all one."""

from distill.evaluate.collapse import collapse_part

WORDS = [f"word{at}" for at in range(200)]
VARIED = [" ".join(WORDS[(at * step) % 200] for step in range(1, 13)) for at in range(1, 60)]
SAME = [f"thank you for your question number {at}" for at in range(1, 60)]


def test_texts_that_repeat_themselves_have_collapsed() -> None:
    """Few different word pairs and answers like each other, where gold's are neither."""
    found = collapse_part({"gold": VARIED, "student": SAME, "teacher": VARIED}, labels=False)
    assert found["collapsed"] is True
    student, gold = found["systems"]["student"], found["systems"]["gold"]
    assert student["distinct"]["2"] < gold["distinct"]["2"]
    assert student["self_similarity"]["value"] > gold["self_similarity"]["value"]
    same = collapse_part({"gold": VARIED, "student": list(VARIED)}, labels=False)
    assert same["collapsed"] is False


def test_labels_that_are_all_one_have_collapsed() -> None:
    """The student's commonest label holds far more rows than gold's commonest."""
    gold = ["a", "b", "c"] * 20
    found = collapse_part({"gold": gold, "student": ["a"] * 60}, labels=True)
    assert found["collapsed"] is True
    assert found["systems"]["student"]["entropy"] == 0
    assert collapse_part({"gold": gold, "student": gold}, labels=True)["collapsed"] is False


def test_no_student_or_no_answer_is_nothing() -> None:
    """Unanswered rows are left out; without any answer of the student there is no part."""
    assert collapse_part({"gold": ["a"], "student": [None]}, labels=True) is None
    short = collapse_part({"gold": ["a"], "student": ["b"]}, labels=False)
    assert short["collapsed"] is None
