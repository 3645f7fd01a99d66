"""What evaluation measures beside the table, in one run that asks for all of it."""

import json

import pytest

from distill.recipe.check import check
from distill.recipe.load import load_recipe
from distill.report.model import check_report


@pytest.fixture(scope="module")
def measured(tmp_path_factory, project):
    """The report of a run that measures everything, and its folder."""
    folder = tmp_path_factory.mktemp("measured")
    recipe = project.write_project(folder, student=True)
    project.change(
        recipe, "compare: [hard_labels]", "forgetting: true, learning_curve: [0.25, 0.5, 1]"
    )
    project.change(recipe, "tokenizer: {bpe: 300}", "tokenizer: {bpe: 300}\n  price: {gpu_hour: 2}")
    project.change(recipe, '"script"', '"price": {"input": 2.0, "output": 8.0}, "script"')
    project.change(recipe, "steps: 60", "steps: 40")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = project.command("run", recipe, "--json")
    assert said.code == 0, said.err
    return said.json, folder


def test_forgetting_is_measured_before_and_after(measured):
    """Text and questions have both figures and a difference; page and `compare` show them."""
    report, folder = measured
    check_report(report)
    text, questions = report["forgetting"]["text"], report["forgetting"]["questions"]
    assert text["student_before"]["n"] == text["student"]["n"] == 16
    assert text["student"]["value"] != text["student_before"]["value"]
    assert questions["difference"]["n"] == 60
    assert questions["chance"] == 0.25
    assert len(questions["by_topic"]) == 4
    assert "What it forgot" in (folder / "runs/tiny/report.html").read_text()


def test_students_of_shares_make_a_curve(measured):
    """Nested shares, as many steps each, one point per share, and an answer with its price."""
    report, folder = measured
    curve = report["learning_curve"]
    whole = curve["points"][-1]
    assert [point["share"] for point in curve["points"]] == [0.25, 0.5, 1.0]
    assert curve["metric"] == "accuracy"
    assert whole["figures"]["accuracy"] == report["metrics"]["student"]["accuracy"]
    assert curve["worth"] in ("yes", "no", "unclear")
    assert f"Learning curve: {curve['because']}" in report["verdict"]["numbers"]
    train = folder / "runs/tiny/stages/06-train"
    quarter, half = (
        {json.loads(line)["id"] for line in (train / f"share-{share}.jsonl").open()}
        for share in ("0.25", "0.5")
    )
    assert quarter < half
    assert len(list(train.glob("share-*/*/result.json"))) == 2


def test_the_price_of_the_student_rests_on_its_measured_speed(measured):
    """With the price of an hour, 1,000 rows cost what the measured speed makes of it."""
    report, folder = measured
    money = report["economics"]
    speed = report["metrics"]["student"]["rows_per_s"]["value"]
    assert money["student_per_1000"] == pytest.approx(1000 / speed / 3600 * 2)
    assert money["rests_on"]["price"] == {"gpu_hour": 2.0}
    assert money["teacher_per_1000"] > 0
    assert money["break_even_rows"] is not None
    assert "Quality against cost" in (folder / "runs/tiny/report.html").read_text()


def test_failures_are_clustered_and_written(measured, project, monkeypatch, tmp_path):
    """The clusters hold every wrong row; the file of them can go to reviewers as it is."""
    report, folder = measured
    part = report["failure_modes"]
    assert part["wrong"] == sum(cluster["count"] for cluster in part["clusters"])
    assert set(part["by_label"]) == {"billing", "bug", "other"}
    path = folder / "runs/tiny" / part["file"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == part["wrong"]
    assert {"id", "text", "label", "set", "answered", "cluster", "cluster_name"} <= set(lines[0])
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "failures.jsonl"
    copy.write_bytes(path.read_bytes())
    said = project.command("review", "export", copy, "--to", "pack.csv", "--output", "label")
    assert said.code == 0, said.err
    assert (tmp_path / "pack.csv").is_file()


def test_answers_are_looked_at(measured):
    """Variety, form and the cascade of student and teacher stand in report and page."""
    report, folder = measured
    assert report["collapse"]["kind"] == "labels"
    assert {"gold", "student", "teacher"} <= set(report["collapse"]["systems"])
    assert report["format"]["teacher"]["value"] == 1.0
    cascade = report["cascade"]
    assert cascade["to"] == "teacher"
    first, last = cascade["points"][0], cascade["points"][-1]
    assert (first["handed"], last["handed"]) == (0.0, 1.0)
    assert first["agreement"]["value"] == report["metrics"]["student"]["accuracy"]["value"]
    assert last["agreement"]["value"] == report["metrics"]["teacher"]["accuracy"]["value"]
    assert last["cost_per_1000"] > first["cost_per_1000"]
    page = (folder / "runs/tiny/report.html").read_text()
    for title in ("How it fails", "What its answers look like", "Student first"):
        assert title in page


def test_compare_lists_forgetting(measured, project, monkeypatch):
    """Every run's before and after stand in the JSON and in the text."""
    report, folder = measured
    monkeypatch.chdir(folder)
    said = project.command("compare", "tiny", "tiny", "--json")
    assert said.json["runs"][0]["forgetting"] == report["forgetting"]
    assert "general text (bits per byte" in project.command("compare", "tiny", "tiny").out


@pytest.mark.parametrize(
    ("given", "key", "found"),
    [
        ("{text: nowhere.jsonl}", "evaluate.forgetting.text", "no file"),
        ("true, learning_curve: [1.5]", "evaluate.learning_curve", "1.5 is no share"),
        ("true, learning_curve: [1]", "evaluate.learning_curve", "one share"),
        ("{task_folder: .}", "evaluate.forgetting.task_folder", "no task"),
    ],
)
def test_a_suite_that_cannot_be_measured_is_refused(project, workdir, given, key, found):
    """Files of the suite must be there, and a folder of tasks must be for some task."""
    recipe = project.write_project(workdir, student=True)
    project.change(recipe, "compare: [hard_labels]", f"forgetting: {given}")
    [problem] = check(load_recipe(recipe), {}).problems
    assert (problem.key, problem.found.startswith(found)) == (key, True)


def test_tasks_of_the_harness_need_its_extra(project, workdir):
    """Naming a task without the package is said before anything is paid, with the line to type."""
    pytest.importorskip("torch")
    recipe = project.write_project(workdir, student=True)
    project.change(recipe, "compare: [hard_labels]", "forgetting: [arc_easy]")
    said = project.command("run", recipe, "--json")
    assert said.code == 3
    assert "lm-eval" in json.dumps(said.json)
    assert not (workdir / ".distill").exists()
