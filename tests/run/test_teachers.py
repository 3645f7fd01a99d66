"""The teachers of a run: keys stay in the environment, answers in the project's one store."""

from pathlib import Path

from distill.recipe.load import load_recipe
from distill.run.walk import run_recipe
from teachers.scripted.server import Faults

SECRET = "sk-geheim-0123456789abcdef"


def test_a_key_is_written_nowhere(project, workdir, monkeypatch):
    """Neither run, nor store, nor anything printed holds it; lock.json names the variable."""
    monkeypatch.setenv("TICKETS_KEY", SECRET)
    with project.served(Faults(key=SECRET), malformed=0.05) as server:
        teacher = server.teacher(api_key_env="TICKETS_KEY")
        recipe = project.write_project(workdir, teacher=teacher)
        done = project.command("run", recipe, "--json", "--debug")
        assert done.code == 0, done.err
        monkeypatch.setenv("TICKETS_KEY", f"{SECRET}x")
        project.change(recipe, "seed: 3", "seed: 4")
        refused = project.command(
            "run", recipe, "--debug", "--set", "teachers.big.system=Be brief."
        )
    assert refused.code == 1
    assert "401" in refused.err
    assert "TICKETS_KEY" in Path("runs/tiny/lock.json").read_text()
    for said in (done, refused):
        assert SECRET not in said.out + said.err
    files = [path for path in Path().rglob("*") if path.is_file()]
    assert {"store.sqlite", "ledger.sqlite", "report.html"} <= {path.name for path in files}
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path


def test_runs_share_the_answers_of_a_project(project, workdir):
    """Another run of the same recipe asks nobody, and its dataset is the same byte for byte."""
    with project.served() as server:
        recipe = load_recipe(project.write_project(workdir, teacher=server.teacher()))
        run_recipe(recipe, run_dir="one")
        asked = server.requests
    # The server is gone: everything comes from the store.
    report = run_recipe(recipe, run_dir="two")
    assert (asked, report["cost"]["requests"], report["cost"]["stored_answers"]) == (40, 0, 40)
    for name in ("train.jsonl", "val.jsonl"):  # the card says what each run has cost
        assert Path("one/dataset", name).read_bytes() == Path("two/dataset", name).read_bytes()
