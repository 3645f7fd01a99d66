"""`distill restore`: a filter's drops come back, later filters judge them, and it lasts."""

import json

import pytest

from distill.errors import UsageError
from distill.recipe.load import load_recipe
from distill.rows.stages import read_stage
from distill.run.directory import find_run
from distill.run.rows.restore import restore
from distill.run.walk import run_recipe

STAGES = ["generate", "filter", "split"]


def fresh(recipe, **options):
    """Stages that were up to date in a run of the recipe, and its report."""
    heard = []
    report = run_recipe(load_recipe(recipe), listen=heard.append, **options)
    return [event.stage for event in heard if event.note == "up to date"], report


def dataset(workdir):
    """Ids of the rows in the dataset."""
    lines = (workdir / "runs/tiny/dataset").glob("*.jsonl")
    names = [path for path in lines if path.stem in ("train", "val")]
    return {json.loads(line)["id"] for path in names for line in path.read_text().splitlines()}


@pytest.mark.parametrize("target", [None, 30])
def test_dropped_rows_come_back_and_stay(project, workdir, target):
    """With and without a target the dataset grows by what came back, also after another run."""
    recipe = project.write_project(workdir)
    if target:
        project.change(recipe, "ask: big}", f"ask: big, accept: {target}}}")
    _, before = fresh(recipe)
    first = dataset(workdir)
    dropped = before["rows"][1]["reasons"]["length:too_long"]
    said = project.command("--json", "restore", "tiny", "--filter", "length")
    assert said.code == 0, said.err
    assert (said.json["dropped"], said.json["restored"]) == (dropped, dropped)
    after = dataset(workdir)
    assert first < after
    assert len(after) == len(first) + dropped
    stale, again = fresh(recipe)
    assert stale == STAGES
    assert dataset(workdir) == after
    assert "length:too_long" not in again["rows"][1]["reasons"]
    [length, _, _] = again["rows"][1]["filters"]
    assert (length["filter"], length["dropped"], length["restored"]) == ("length", 0, dropped)
    rows = {row.id: row for row in read_stage(workdir / "runs/tiny/stages/02-filter")}
    [back, *_] = [rows[id] for id in sorted(after - first)]
    assert back.verdicts[0].reason == "restored:too_long"
    assert again["cost"]["requests"] == before["cost"]["requests"]
    # A change that filters anew keeps the choice too.
    project.change(recipe, "words: [3, 9]", "words: [3, 8]")
    assert dataset(workdir) <= {row["id"] for row in rows_after(recipe, workdir)}


def rows_after(recipe, workdir):
    """The rows of the dataset after another run."""
    fresh(recipe)
    return [{"id": id} for id in dataset(workdir)]


def test_later_filters_still_judge(project, workdir):
    """What comes back meets the filters behind the one that dropped it."""
    recipe = project.write_project(workdir)
    project.change(recipe, "  - refusal\n", "  - refusal\n  - regex: {forbid: so forth}\n")
    fresh(recipe)
    found = restore(find_run("tiny"), "length")
    assert (found["dropped"], found["restored"]) == (5, 0)
    assert found["dropped_later"] == {"regex:forbidden": 5}
    assert restore(find_run("tiny"), "regex")["restored"] == 5
    assert find_run("tiny").restored() == ["length", "regex"]


def test_copies_of_kept_rows_stay_out(project, workdir):
    """Rows accepted before are remembered: a copy that comes back is still a duplicate."""
    recipe = project.write_project(workdir)
    project.change(recipe, "  - refusal\n", "  - novelty: {max: 0.6}\n")
    _, report = fresh(recipe)
    kept = dataset(workdir)
    found = restore(find_run("tiny"), "length")
    assert found["restored"] + sum(found["dropped_later"].values()) == 5
    assert kept <= dataset(workdir)
    assert set(found["dropped_later"]) <= {"novelty:not_novel"}
    assert found["dropped_later"]
    assert report["rows"][1]["in"] == found["rows"][1]["in"]


def test_what_cannot_be_brought_back(project, workdir):
    """Gold never comes back; an unknown filter is told with those there are."""
    recipe = project.write_project(workdir)
    fresh(recipe, until="generate")
    with pytest.raises(UsageError, match="nothing was filtered"):
        restore(find_run("tiny"), "length")
    fresh(recipe, until="filter")
    with pytest.raises(UsageError, match="rows that hold gold"):
        restore(find_run("tiny"), "not_in_gold")
    with pytest.raises(UsageError, match=r"no filter 'lenght' \(allowed: length, refusal, not_"):
        restore(find_run("tiny"), "lenght")
    assert restore(find_run("tiny"), "refusal")["dropped"] == 0
    assert not (workdir / "runs/tiny/restored.json").exists()
    assert not (workdir / "runs/tiny/dataset").exists()
