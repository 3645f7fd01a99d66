"""What the commands around a run print, for people and as JSON."""

import yaml

from distill.rows.stages import read_stage
from distill.run.directory import find_run


def test_status_in_words(made, project):
    """A line per stage, then the cost."""
    out = project.command("status", "tiny").out
    assert "tiny  (not running)" in out
    assert "  filter    done  35 of 40 rows" in out
    assert "  train     not run" in out
    assert "40 requests, 0 stored, 0.0000 USD" in out


def test_why_in_words(made, project):
    """A row's fields, and one line per stage and verdict; the id may be shortened."""
    rows = list(read_stage(find_run("tiny").stage("filter")))
    row = next(row for row in rows if row.status == "rejected")
    said = project.command("why", "tiny", row.id[:12])
    assert said.code == 0
    assert f"row {row.id}: rejected by filter" in said.out
    assert f"  text: {row.fields['text']}" in said.out
    assert "    length: drop: too_long, score 1" in said.out
    assert project.command("why", "tiny", row.id, "--json").json["id"] == row.id


def test_report_in_words(made, project):
    """The path of the page; with --json the report itself."""
    assert project.command("report", "tiny").out == "report: runs/tiny/report.html\n"
    assert project.command("report", "tiny", "--json").json["shortfall"] is None


def test_an_unknown_run(made, project):
    """Every command that takes a run names those there are."""
    for args in (["status", "tniy"], ["why", "tniy", "x"], ["report", "tniy"]):
        said = project.command(*args)
        assert said.code == 2
        assert said.err.startswith("error: no run 'tniy' here (allowed: tiny).")
    assert "no row 'zz'" in project.command("why", "tiny", "zz").err


def test_recipes_are_listed(project):
    """Name, what and hardware of every bundled recipe."""
    listed = project.command("recipes", "--json").json["recipes"]
    assert "quickstart" in {recipe["name"] for recipe in listed}
    assert all(recipe["what"] and recipe["hardware"] for recipe in listed)


def test_check_prints_the_strategy_as_fields(made, project):
    """--expanded prints a recipe that loads and does the same."""
    said = project.command("check", "recipe.yaml", "--expanded")
    assert said.code == 0
    expanded = yaml.safe_load(said.out)
    assert expanded["generate"]["fields"]["label"]["ask"] == "big"
    again = made / "expanded.yaml"
    again.write_text(said.out)
    assert project.command("check", again).code == 0
    assert "no problem found" in project.command("check", "recipe.yaml").out
    assert project.command("check", "recipe.yaml", "--json").json["ok"] is True


def test_train_evaluate_and_export(project, workdir):
    """Each does what is missing before it, and nothing after it."""
    recipe = project.write_project(workdir, rows=16, student=True)
    project.change(recipe, "compare: [hard_labels]", "compare: []")
    project.change(recipe, "steps: 60", "steps: 2")
    trained = project.command("train", recipe, "--json").json
    assert (trained["training"]["steps"], trained["metrics"]) == (2, None)
    assert "more_data" in project.command("report", "tiny", "--json").json["verdict"]["say"]
    measured = project.command("evaluate", recipe)
    assert "accuracy" in measured.out
    assert not (workdir / "runs/tiny/student").exists()
    exported = project.command("export", recipe)
    assert "train: up to date" in exported.err
    assert (workdir / "runs/tiny/student/model.safetensors").is_file()
    answered = project.command("predict", "tiny", "gold.jsonl", "--to", "out.jsonl")
    assert "18 rows in out.jsonl (18 parsed, 0 were there already)" in answered.out
