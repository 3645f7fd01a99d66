"""`compare` over two runs whose answers were recorded."""

import json

import pytest

from distill.run.directory import RunDirectory


@pytest.fixture
def runs(made_folder, tmp_path, monkeypatch):
    """Two copies of a run, each with recorded answers of its student."""
    monkeypatch.chdir(tmp_path)
    (source,) = (made_folder / "runs").iterdir()
    report = json.loads((source / "report.json").read_text())
    for name, right in (("one", 3), ("two", 9)):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        figure = {"value": right / 10, "low": 0.0, "high": 1.0, "n": 10}
        told = report | {"metrics": {"student": {"accuracy": figure}}}
        (folder / "report.json").write_text(json.dumps(told))
        (folder / "lock.json").write_text((source / "lock.json").read_text())
        stage = RunDirectory(folder).stage("evaluate")
        stage.mkdir(parents=True)
        lines = [{"set": "gold", "system": "student", "id": str(n), "fields": {}, "expected": "x",
                  "answered": "x", "score": float(n < right)} for n in range(10)]  # fmt: skip
        (stage / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def test_two_runs(runs, project):
    """Figures of both and the paired test between them."""
    found = project.command("compare", "one", "two", "--json").json
    assert [run["metrics"]["accuracy"]["value"] for run in found["runs"]] == [0.3, 0.9]
    (test,) = found["tests"]
    assert (test["a"], test["b"], test["n"], test["test"]) == ("one", "two", 10, "mcnemar")
    assert test["difference"]["value"] == pytest.approx(0.6)
    said = project.command("compare", "one", "two").out
    assert "two - one on gold: +0.600" in said


def test_one_run_is_not_compared(runs, project):
    """Exit 2 with what to do; so is a run that is not there."""
    assert project.command("compare", "one").code == 2
    assert project.command("compare", "one", "three").code == 2
