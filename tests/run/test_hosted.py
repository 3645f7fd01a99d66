"""A student that a service trains: one job, inside the budget, found again after a crash."""

import json

import pytest

from teachers.scripted.fine_tuning import JobFaults
from teachers.scripted.server import Faults

STUDENT = """\
budget: {{usd: {usd}}}
student:
  model: small
  method: hosted
  hosted: {{base_url: "{url}", api_key_env: SERVICE_KEY}}
  price: {{input: 0.4, output: 1.6, training: 5.0}}
train: {{epochs: 2}}
evaluate: {{on: [gold], baselines: [majority]}}
"""
KEY = "sk-service-4711"


def write(project, folder, served, usd=1.0):
    """The classify project with its student at the scripted service."""
    more = STUDENT.format(url=served.url, usd=usd)
    return project.write_project(folder, more=more, rows=60)


def spent(project, run="runs/tiny"):
    """What the ledger says of the student."""
    return json.loads(open(f"{run}/report.json").read())["cost"]["by_teacher"]["student"]


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("SERVICE_KEY", KEY)


def test_it_is_trained_measured_and_asked(project, workdir):
    """Uploaded, trained, measured beside its base, exported as a name, and asked by predict."""
    with project.served() as served:
        recipe = write(project, workdir, served)
        said = project.command("run", recipe, "--yes", "--json")
        assert said.code == 0, said.err
        metrics = said.json["metrics"]
        assert metrics["student"]["accuracy"]["n"] == 18
        assert metrics["student"]["cost_per_1000"]["value"] > 0
        assert "student_before" in metrics
        assert said.json["training"]["tokens"] > 0
        assert served.server.stats["jobs"] == 1
        facts = json.loads((workdir / "runs/tiny/student/distill.json").read_text())
        assert facts["hosted"]["model"].startswith("ft:small:scripted:tiny:")
        told = project.command("predict", "tiny", "gold.jsonl", "--to", "out.jsonl", "--json")
        assert told.json["rows"] == 18
        before = served.requests
        project.command("predict", "tiny", "gold.jsonl", "--to", "again.jsonl", "--json")
        assert served.requests == before
    everything = [path for path in workdir.rglob("*") if path.is_file()]
    assert not [path for path in everything if KEY.encode() in path.read_bytes()]


def test_the_same_rows_are_not_trained_on_twice(project, workdir):
    """A second run with the same dataset takes the job that is there and pays nothing for it."""
    with project.served() as served:
        recipe = write(project, workdir, served)
        assert project.command("train", recipe, "--yes").code == 0
        first = spent(project)
        assert project.command("train", recipe, "--yes", "--run-dir", "runs/second").code == 0
        assert served.server.stats["jobs"] == 1
        assert first["input_tokens"] > 0
        second = json.loads((workdir / "runs/second/report.json").read_text())
        assert "student" not in second["cost"]["by_teacher"]


def test_a_job_that_a_crash_left_is_adopted(project, workdir):
    """Killed while the job runs: the next call follows the same job, and settles it once."""
    with project.served(Faults(jobs=JobFaults(seconds=3.0))) as served:
        recipe = write(project, workdir, served)
        process = project.start("train", recipe, "--yes", cwd=workdir, SERVICE_KEY=KEY)
        for line in process.stderr:
            if "job ftjob-1: running" in line:
                break
        process.kill()
        process.communicate(timeout=30)
        said = project.command("train", recipe, "--yes", "--json")
        assert said.code == 0, said.err
        assert served.server.stats["jobs"] == 1
        paid = spent(project)
        assert paid["requests"] == 1
        assert paid["unknown"] == 0
        assert paid["usd"] == pytest.approx(said.json["training"]["tokens"] * 5.0 / 1e6)


def test_a_creation_whose_answer_was_lost_is_found(project, workdir):
    """The service made the job and answered with an error: it is found by its mark."""
    with project.served(Faults(jobs=JobFaults(silent=1))) as served:
        assert project.command("train", write(project, workdir, served), "--yes").code == 0
        assert served.server.stats["jobs"] == 1


def test_the_cap_holds(project, workdir):
    """A training whose worst case does not fit is not started: exit 4."""
    with project.served() as served:
        said = project.command("train", write(project, workdir, served, usd=0.001), "--yes")
        assert said.code == 4
        assert "budget.usd" in said.err
        assert served.server.stats["jobs"] == 0


def test_a_lost_job_is_told_and_not_paid(project, workdir):
    """What the service says of a failed job is shown, nothing is settled, the next call tries."""
    with project.served(Faults(jobs=JobFaults(fails=1))) as served:
        recipe = write(project, workdir, served)
        said = project.command("train", recipe, "--yes")
        assert said.code == 1
        assert "the training file is not allowed" in said.err
        assert project.command("train", recipe, "--yes").code == 0
        assert served.server.stats["jobs"] == 2
        assert spent(project)["requests"] == 1


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("train.lr=0.1", "train.lr"),
        ("train.signal.kind=dense", "train.signal"),
        ("evaluate.compare=[hard_labels]", "evaluate.compare"),
        ("train.epochs=1.5", "train.epochs"),
        ("student.price={gpu_hour: 1}", "student.price.training"),
    ],
)
def test_what_a_service_cannot_do_is_refused(project, workdir, change, key):
    """Each with its key, before anything is sent."""
    with project.served() as served:
        said = project.command("check", write(project, workdir, served), "--set", change)
        assert said.code == 2
        assert key in said.err


def test_a_missing_key_is_named(project, workdir, monkeypatch):
    """Exit 3 with the line to type."""
    monkeypatch.delenv("SERVICE_KEY")
    with project.served() as served:
        said = project.command("check", write(project, workdir, served))
        assert said.code == 3
        assert "export SERVICE_KEY" in said.err


def test_a_refused_key_while_predicting_is_told(project, workdir):
    """What the service says is shown, with exit 1 and no traceback, and the key is not."""
    with project.served() as served:
        assert project.command("run", write(project, workdir, served), "--yes").code == 0
    with project.served(Faults(key="another")) as strict:
        facts = workdir / "runs/tiny/student/distill.json"
        told = json.loads(facts.read_text())
        told["hosted"]["base_url"] = strict.url
        facts.write_text(json.dumps(told))
        said = project.command("predict", "tiny", "pool.csv", "--to", "out.jsonl")
    assert said.code == 1
    assert "Run the same command again" in said.err
    assert KEY not in said.err
