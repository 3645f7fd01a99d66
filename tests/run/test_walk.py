"""A recipe runs end to end, continues, and does again only what a change makes stale."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

import distill
from distill.errors import RecipeError, UsageError
from distill.recipe.load import load_recipe
from distill.report.model import check_report
from distill.run.walk import run_recipe, stages_of

STAGES = ["generate", "filter", "split", "train", "evaluate", "export"]


def notes(recipe, **options):
    """Stages that were up to date and stages that did something, as the listener hears it."""
    heard = []
    report = run_recipe(load_recipe(recipe, options.pop("set", ())), listen=heard.append, **options)
    fresh = [event.stage for event in heard if event.note == "up to date"]
    return fresh, report


def test_a_recipe_runs_from_end_to_end(trained):
    """Every count of the report adds up, its shape is the fixed one, and the files are there."""
    report = json.loads((trained / "said.json").read_text())
    run_dir = Path(report.pop("run_dir"))
    assert report == json.loads((run_dir / "report.json").read_text())
    check_report(report)
    made, sifted, split = report["rows"]
    assert [entry["stage"] for entry in report["rows"]] == STAGES[:3]
    for entry in report["rows"]:
        assert entry["in"] == entry["accepted"] + entry["rejected"] + entry["failed"]
        assert sum(entry["reasons"].values()) == entry["rejected"] + entry["failed"]
    assert (made["in"], sifted["in"], split["in"]) == (40, made["accepted"], sifted["accepted"])
    assert sifted["reasons"] == {"length:too_long": 5}
    lines = {
        name: (run_dir / "dataset" / f"{name}.jsonl").read_text().splitlines()
        for name in ("train", "val")
    }
    assert len(lines["train"]) + len(lines["val"]) == split["accepted"] == 35
    assert report["cost"]["requests"] == 40 + 18
    assert report["cost"]["stored_answers"] == len(lines["val"])
    assert report["training"]["steps"] == 60
    assert report["training"]["loss_last"] < report["training"]["loss_first"]
    assert "<html" in (run_dir / "report.html").read_text()


def test_every_system_is_measured(trained):
    """Teacher, student, the same before training, the other arm, two baselines; on val too."""
    report = json.loads((trained / "said.json").read_text())
    systems = {"teacher", "student", "student_before", "hard_labels", "zero_shot", "majority"}
    assert set(report["metrics"]) == systems
    assert set(report["metrics_by_set"]["val"]) == systems
    accuracy = {name: figures["accuracy"]["value"] for name, figures in report["metrics"].items()}
    assert accuracy["teacher"] == 1
    assert accuracy["student"] > 0.8 > 0.5 > accuracy["majority"]
    assert report["metrics"]["zero_shot"] == report["metrics"]["student_before"]
    # The signal is text, so both arms are the same training.
    assert report["metrics"]["student"]["accuracy"] == report["metrics"]["hard_labels"]["accuracy"]


def test_a_second_run_does_nothing(trained):
    """Every stage is up to date, nobody is asked, and the report says the same."""
    fresh, report = notes("recipe.yaml")
    assert fresh == STAGES
    said = json.loads((trained / "said.json").read_text())
    assert report["cost"] == said["cost"]
    assert report["metrics"] == said["metrics"]


def test_the_package_runs_a_recipe(project, workdir):
    """`from distill import load_recipe, run` does what the command does and returns the report."""
    recipe = distill.load_recipe(project.write_project(workdir))
    report = distill.run(recipe, run_dir=workdir / "here")
    assert report["verdict"]["say"] == "dataset_only"
    assert json.loads((workdir / "here/report.json").read_text()) == report


def test_the_package_runs_inside_a_running_loop(project, workdir):
    """In a notebook, where an event loop is running already, `run` works too."""
    recipe = distill.load_recipe(project.write_project(workdir))

    async def cell():
        return distill.run(recipe, until="split")

    assert asyncio.run(cell())["rows"][0]["stage"] == "generate"


def test_a_changed_filter_redoes_only_what_follows(project, workdir):
    """The candidates stay, nobody is asked, and what comes after the filter is done again."""
    recipe = project.write_project(workdir)
    _, before = notes(recipe)
    project.change(recipe, "words: [3, 9]", "words: [3, 90]")
    fresh, after = notes(recipe)
    assert fresh == ["generate"]
    assert [entry["accepted"] for entry in after["rows"]] == [40, 40, 40]
    assert after["cost"] == before["cost"]
    assert (workdir / "runs/tiny/dataset/versions/1/train.jsonl").is_file()


def test_a_change_that_makes_the_same_rows_stops_there(project, workdir):
    """A filter that drops the same rows as before leaves what follows up to date."""
    recipe = project.write_project(workdir)
    notes(recipe)
    project.change(recipe, "words: [3, 9]", "words: [2, 9]")
    assert notes(recipe)[0] == ["generate", "split"]


def test_prices_and_pace_make_nothing_stale(project, workdir):
    """How a teacher is reached and paid does not decide what it answers."""
    recipe = project.write_project(workdir)
    notes(recipe)
    change = ["teachers.big.concurrency=2", "teachers.big.price={input: 1, output: 1}"]
    assert notes(recipe, set=[*change, "budget.usd=5"])[0] == STAGES[:3]


@pytest.mark.parametrize("wanted", [20, 60])
def test_with_a_target_the_filters_decide_what_counts(project, workdir, wanted):
    """The counts join up, a target out of reach is a shortfall, and nothing is done twice."""
    recipe = project.write_project(workdir)
    project.change(recipe, "ask: big}", f"ask: big, accept: {wanted}}}")
    _, report = notes(recipe)
    made, sifted, split = report["rows"]
    assert sifted["in"] == made["accepted"]
    assert split["accepted"] == min(wanted, 35)
    if wanted == 20:
        assert report["shortfall"] is None
        assert sifted["reasons"]["surplus"] == made["accepted"] - 20 - sifted["reasons"].get(
            "length:too_long", 0
        )
    else:
        assert (report["shortfall"]["accept"], report["shortfall"]["got"]) == (60, 35)
    # As if the process had been killed between the two stages.
    (workdir / "runs/tiny/stages/02-filter/done.json").unlink()
    fresh, again = notes(recipe)
    assert fresh == ["generate", "split"]
    assert again["rows"] == report["rows"]


def test_a_raised_target_asks_for_the_rest_only(project, workdir):
    """With all candidates tried already, the cut alone changes, and the filter stage with it."""
    recipe = project.write_project(workdir)
    project.change(recipe, "ask: big}", "ask: big, accept: 34}")
    _, before = notes(recipe)
    _, after = notes(recipe, set=["generate.accept=35"])
    assert before["rows"][1]["reasons"]["surplus"] == 1
    assert "surplus" not in after["rows"][1]["reasons"]
    assert after["cost"]["requests"] == before["cost"]["requests"] == 40


def test_until_stops_after_a_stage(project, workdir):
    """Later stages are not run, and a later call goes on from there."""
    recipe = project.write_project(workdir)
    _, report = notes(recipe, until="filter")
    assert [entry["stage"] for entry in report["rows"]] == ["generate", "filter"]
    assert report["verdict"] is None
    assert not (workdir / "runs/tiny/dataset").exists()
    assert notes(recipe)[0] == ["generate", "filter"]


def test_failed_rows_are_asked_again_on_demand(project, workdir):
    """Rows that failed stay failed until they are asked for again; the others are not asked."""
    with project.served(malformed=0.15) as server:
        recipe = project.write_project(workdir, rows=60, teacher=server.teacher())
        project.change(recipe, "ask: big}", "ask: big, max_failed: 0.5}")
        _, before = notes(recipe)
        failed = before["rows"][0]["failed"]
        assert failed
        assert notes(recipe)[0] == STAGES[:3]
        asked = server.requests
        _, after = notes(recipe, retry_failed=True)
        # Each is asked once and re-asked with a reminder twice.
        assert server.requests == asked + 3 * failed
        assert after["rows"][0] == before["rows"][0]


def test_a_stage_that_a_recipe_does_not_have(project, workdir):
    """An unknown stage, and one that this recipe lacks, are told apart; both name what there is."""
    recipe = load_recipe(project.write_project(workdir))
    with pytest.raises(UsageError, match=r"unknown stage 'fliter' \(allowed: generate, filter"):
        stages_of(recipe, "fliter")
    with pytest.raises(UsageError, match="this recipe has no stage 'train'"):
        stages_of(recipe, "train")


def test_a_recipe_that_makes_no_rows_is_refused(project, workdir):
    """Without `generate` there is nothing to run."""
    recipe = project.write_project(workdir)
    project.change(recipe, "generate: {strategy: label_pool, ask: big}\n", "")
    with pytest.raises(RecipeError, match="nothing makes rows"):
        run_recipe(load_recipe(recipe))


def test_a_run_can_be_moved_and_trained_anew(trained, tmp_path):
    """A copy is as up to date as the original; other steps redo the training, not the rows."""
    copy = tmp_path / "moved"
    shutil.copytree(trained / "runs/tiny", copy)
    assert notes("recipe.yaml", run_dir=copy)[0] == STAGES
    fresh, report = notes("recipe.yaml", run_dir=copy, set=["train.steps=4"])
    assert fresh == STAGES[:3]
    assert report["training"]["steps"] == 4
    # The teacher had answered gold already; its answers come from the store.
    assert report["cost"]["requests"] == 58
