"""Which rows are shown as examples: approved ones first, never one that is held out."""

import json
from types import SimpleNamespace

import pytest

from distill.recipe.load import load_recipe
from distill.rows.dataset import DatasetRow, write_dataset
from distill.rows.row import Row, Verdict
from distill.rows.stages import write_stage
from distill.run.evaluate.examples import examples_of

GOLD = [{"text": "held out", "label": "billing"}]


@pytest.fixture
def context(project, tmp_path):
    """A run with a dataset, seeds and a review, on disk."""
    recipe = project.write_project(tmp_path)
    project.change(recipe, "gold: gold.jsonl", "gold: gold.jsonl, seeds: seeds.jsonl")
    (tmp_path / "gold.jsonl").write_text(json.dumps(GOLD[0]) + "\n")
    seeds = [{"text": f"seed {at}", "label": "bug"} for at in range(3)]
    seeds += [{"text": "Held out!", "label": "bug"}, {"text": "no label"}]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in seeds))
    train = [DatasetRow(f"t{at}", fields={"text": f"train {at}", "label": "other"})
             for at in range(4)]  # fmt: skip
    val = [DatasetRow("v", fields={"text": "approved 0", "label": "other"})]
    write_dataset(tmp_path / "dataset", {"train": train, "val": val}, [], "card")
    done = set()
    directory = SimpleNamespace(
        dataset=tmp_path / "dataset",
        done=lambda name: name in done,
        stage=lambda name: tmp_path / name,
    )
    return SimpleNamespace(recipe=load_recipe(str(recipe)), directory=directory, marks=done)


def test_seeds_come_before_train_and_held_out_rows_never(context):
    """A seed that is gold but for its marks is left out, as is one without a label."""
    found = examples_of(context, 10)
    assert found.source == "seeds"
    assert sorted(row["text"] for _, row in found.rows) == ["seed 0", "seed 1", "seed 2"]
    assert examples_of(context, 2).rows == found.rows[:2]


def test_what_people_approved_comes_first(context, tmp_path):
    """Accepted rows that a person kept; neither unseen ones, nor rejected ones, nor val's."""
    kept, dropped = Verdict("review", True), Verdict("review", False, "x")
    rows = [
        Row(f"r{at}", {"text": f"approved {at}", "label": "bug"}, verdicts=(kept,))
        for at in range(3)
    ]
    rows.append(Row("u", {"text": "unseen", "label": "bug"}))
    rows.append(Row("n", {"text": "no", "label": "bug"}, "rejected", "x", None, (dropped,)))
    write_stage(tmp_path / "review", rows)
    context.marks.add("review")
    found = examples_of(context, 10)
    assert found.source == "review"
    assert sorted(name for name, _ in found.rows) == ["r1", "r2"]
    assert found.as_dict()["ids"] == [name for name, _ in found.rows]


def test_train_serves_where_nothing_else_is_usable(context):
    """Seeds without a usable row leave the training rows."""
    seeds = context.recipe.model_copy(
        update={"data": context.recipe.data.model_copy(update={"seeds": None})}
    )
    seeds._source = context.recipe._source
    context.recipe = seeds
    found = examples_of(context, 3)
    assert (found.source, len(found.rows)) == ("train", 3)
