"""Copies of judge rows: what is mirrored, what is left out, and which rows get one."""

import pytest

from distill.recipe.task import Augment, PairAugment
from distill.rows.row import Row
from distill.split.augment import mirrored_text, swapped, with_copies

PAIR = {
    "instruction": "Say hello.", "a": "hello", "b": "go away", "winner": "a",
    "quality_a": "a high grade", "quality_b": "a low grade",
    "ranked": "A", "ranked_swapped": "B", "ranked_p": 0.9, "ranked_swapped_p": 0.6,
    "winner_votes": {"a": 2, "tie": 1}, "reference": "hello", "feedback": "Response A greets.",
}  # fmt: skip


def test_everything_about_a_side_changes_sides() -> None:
    """Answers, qualities, both verdicts, votes and reasons; what both sides share stays."""
    assert swapped(PAIR, "winner") == {
        "instruction": "Say hello.", "a": "go away", "b": "hello", "winner": "b",
        "quality_a": "a low grade", "quality_b": "a high grade",
        "ranked": "B", "ranked_swapped": "A", "ranked_p": 0.6, "ranked_swapped_p": 0.9,
        "winner_votes": {"b": 2, "tie": 1}, "reference": "hello", "feedback": "Response B greets.",
    }  # fmt: skip
    assert swapped(swapped(PAIR, "winner"), "winner") == PAIR
    assert swapped({**PAIR, "winner": "tie"}, "winner")["winner"] == "tie"


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("Response A is kinder than response B.", "Response B is kinder than response A."),
        ("The first answer is a full one.", "The second answer is a full one."),
        ("A short reply would do.", "A short reply would do."),
        ('Answer "B" cites (option A) once.', 'Answer "A" cites (option B) once.'),
        ("B is better.", None),
        ("It beats A, which rambles.", None),
        ("The former is better.", None),
    ],
)
def test_reasons_are_mirrored_or_left_out(text: str, mirrored: str | None) -> None:
    """A name whose side is not sure is never taught."""
    assert mirrored_text(text) == mirrored
    kept = swapped({**PAIR, "feedback": text}, "winner")
    assert kept.get("feedback") == mirrored


def test_copies_say_whose_they_are() -> None:
    """One copy of each kind at most, marked, the same ones for the same seed; rows stay."""
    rows = [Row(f"r{n:03}", PAIR) for n in range(400)]
    rows.append(Row("bare", {"a": "x", "b": "y", "winner": "a"}))
    spec = PairAugment(swap=1.0, drop_reference=0.5, drop_feedback=0.25)
    found = list(with_copies(rows, spec, "winner", 7))
    assert [row for row in found if "copy_of" not in row.fields] == rows
    kinds: dict[str, list[str]] = {}
    for row in found:
        if "copy_of" in row.fields:
            kinds.setdefault(row.fields["augmented"], []).append(row.fields["copy_of"])
    assert len(kinds["swap"]) == 401
    assert 160 < len(kinds["no-reference"]) < 240
    assert 70 < len(kinds["no-feedback"]) < 130
    assert "bare" not in kinds["no-reference"] + kinds["no-feedback"]
    assert len({row.id for row in found}) == len(found)
    assert list(with_copies(rows, spec, "winner", 7)) == found
    assert list(with_copies(rows, spec, "winner", 8)) != found
    for row in found:
        if row.fields.get("augmented") == "no-reference":
            assert "reference" not in row.fields
            assert row.fields["feedback"] == PAIR["feedback"]
    assert list(with_copies(rows, Augment(), "winner", 7)) == rows
