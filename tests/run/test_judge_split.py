"""Judges are held to instructions and rubrics that they never saw, and the rows say so."""

import pytest

from distill.recipe.schema import Split
from distill.recipe.task import ClassifyTask, JudgeAbsoluteTask
from distill.rows.row import Row
from distill.run.rows.judge_split import split_of, with_provenance
from distill.split.split import split_rows

JUDGE = JudgeAbsoluteTask(kind="judge_absolute")


def rows_of(rubrics):
    return [
        Row(f"{at:03}", {"instruction": f"i{at % 30}", "response": f"r {at}", "rubric": f"c{kind}"})
        for at in range(120)
        for kind in [at % 7 % rubrics]
    ]


@pytest.mark.parametrize(("rubrics", "held"), [(6, True), (3, False)])
def test_whole_instructions_and_rubrics_are_held_out(rubrics, held):
    """By default, and a rubric only where val's share of them is a whole one."""
    rows = rows_of(rubrics)
    spec = split_of(JUDGE, Split(), rows)
    assert (spec.keep_together, spec.hold_out) == (
        ["duplicates", "instruction"], ["rubric"] if held else []
    )  # fmt: skip
    parts = with_provenance(JUDGE, split_rows(rows, spec, 1, "response"))
    train = {name: {r.fields[name] for r in parts["train"]} for name in ("instruction", "rubric")}
    for row in parts["val"]:
        new = [name for name in train if row.fields[name] not in train[name]]
        assert row.fields["held_out"] == new
        assert new
    kinds = {tuple(row.fields["held_out"]) for row in parts["val"]}
    assert (("rubric",) in kinds) == held
    assert ("instruction",) in kinds
    assert not any("held_out" in row.fields for row in parts["train"])


def test_what_the_recipe_says_goes_first():
    """An empty list holds nothing out; other tasks keep their rows as they are."""
    spec = split_of(JUDGE, Split(keep_together=["seed"], hold_out=[]), rows_of(6))
    assert (spec.keep_together, spec.hold_out) == (["seed"], [])
    other = ClassifyTask(kind="classify", labels=["a", "b"])
    assert split_of(other, Split(), rows_of(6)) == Split()
    parts = {"train": [], "val": rows_of(6)}
    assert with_provenance(other, parts) == parts
