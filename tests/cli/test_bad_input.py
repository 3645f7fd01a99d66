"""Bad input gets one clear line (where, what was found, what is allowed, what to do) and a code."""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from teachers.scripted.server import Faults

SCRIPTED = '{"kind": "scripted"'


def told(said, code, *parts):
    """The one line on stderr of a failed call."""
    assert said.code == code, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said.err
    for part in parts:
        assert part in lines[0]
    return lines[0]


def as_json(said, code, kind):
    """The problems of the one JSON object on stdout."""
    assert said.code == code
    error = said.json["error"]
    assert set(said.json) == {"error"}
    assert set(error) == {"kind", "message", "problems"}
    assert error["kind"] == kind
    for problem in error["problems"]:
        assert set(problem) == {"file", "line", "key", "found", "allowed", "fix"}
    return error["problems"]


RECIPES = {
    "unknown key": ("seed: 3", "sed: 3", ["recipe.yaml:3", "unknown key 'sed'", "'seed'?"]),
    "nested key": ("words:", "wrods:", ["filter.0.length.wrods", "'words'?"]),
    "no such file": ("pool.csv", "pol.csv", ["data.pool", "no file 'pol.csv'", "'pool.csv'?"]),
    "no such teacher": ("ask: big", "ask: bif", ["generate.ask", "(allowed: big)", "'big'?"]),
    "no YAML": ("seed: 3", "seed: [3", ["recipe.yaml:", "not YAML"]),
    "twice": ("seed: 3", "seed: 3\nseed: 4", ["recipe.yaml:4", "seed"]),
    "missing key": ("- refusal", "- judge: {ask: big, min: 3}", ["filter.1.judge", "'rubric'"]),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_wrong_recipe(project, workdir, name):
    """Exit 2, with the line and key of the recipe and what was probably meant."""
    old, new, parts = RECIPES[name]
    recipe = project.write_project(workdir)
    project.change(recipe, old, new)
    told(project.command("run", recipe), 2, *parts)
    [problem] = as_json(project.command("run", recipe, "--json"), 2, "recipe")
    assert problem["file"].endswith("recipe.yaml")
    assert problem["line"]
    assert not (workdir / "runs").exists()


FILES = {
    "missing": ("gold.jsonl", None, ["data.gold", "no file 'gold.jsonl'"]),
    "no label column": ("gold.jsonl", b'{"text": "a"}\n', ["gold.jsonl:1", "no column 'label'"]),
    "label outside": (
        "gold.jsonl",
        b'{"text": "a", "label": "bugg"}\n',
        ["gold.jsonl:1", "'bugg'", "(allowed: billing, bug, other)", "'bug'?"],
    ),
    "bad JSON": ("gold.jsonl", b'{"text": "a", "label": "bug"}\n{"te', ["gold.jsonl:2"]),
    "no rows": ("pool.csv", b"text\n", ["pool.csv", "holds no rows", "at least one"]),
    "nothing": ("pool.csv", b"", ["pool.csv", "holds no rows"]),
    "not UTF-8": ("pool.csv", b"text\nab\nc\xffd\n", ["pool.csv:3", "0xff is not UTF-8", "Save"]),
    "ragged": ("pool.csv", b"text,n\na,1\nb\n", ["pool.csv:3", "1 values for 2 columns"]),
}


@pytest.mark.parametrize("name", FILES)
def test_wrong_data(project, workdir, name):
    """Exit 2 before anything is asked, with the file and line."""
    file, content, parts = FILES[name]
    recipe = project.write_project(workdir)
    if content is None:
        (workdir / file).unlink()
    else:
        (workdir / file).write_bytes(content)
    told(project.command("run", recipe), 2, *parts)
    assert len(as_json(project.command("--json", "run", recipe), 2, "recipe")) == 1
    assert not (workdir / ".distill").exists()


def test_a_missing_key(project, workdir, monkeypatch):
    """Exit 3 with the exact line to type; nothing was sent."""
    monkeypatch.delenv("TICKETS_KEY", raising=False)
    with project.served() as server:
        teacher = server.teacher(api_key_env="TICKETS_KEY")
        recipe = project.write_project(workdir, teacher=teacher)
        told(project.command("run", recipe), 3, "TICKETS_KEY is not set", "export TICKETS_KEY=")
        [problem] = as_json(project.command("run", recipe, "--json"), 3, "prerequisite")
        assert problem["key"] == "teachers.big.api_key_env"
        assert server.requests == 0


def test_a_refused_key(project, workdir, monkeypatch):
    """A 401 stops the run at once with exit 1, however many rows there are."""
    monkeypatch.setenv("TICKETS_KEY", "wrong")
    with project.served(Faults(key="right")) as server:
        teacher = server.teacher(api_key_env="TICKETS_KEY", concurrency=4)
        recipe = project.write_project(workdir, teacher=teacher)
        told(project.command("run", recipe), 1, server.url, "401", "The key was refused")
        assert server.requests <= 4


def test_a_server_that_is_down(project, workdir, monkeypatch):
    """Every ask is tried again for a bounded time; then the address and what to do are named."""
    monkeypatch.setattr("teachers.retry.TRIES", 2)
    monkeypatch.setattr("teachers.gateway.TRIES", 2)
    with project.served() as server:
        teacher = server.teacher()
    recipe = project.write_project(workdir, rows=6, teacher=teacher)
    parts = ("6 of the last 6 rows failed", teacher["base_url"], "Is the server running?")
    told(project.command("run", recipe), 1, *parts)
    [problem] = as_json(project.command("run", recipe, "--json"), 1, "run")
    assert problem["key"] == "generate.max_failed"
    # Nothing is lost: once it is up, the same command goes on.
    with project.served() as server:
        project.change(recipe, teacher["base_url"], server.url)
        assert project.command("run", recipe, "--quiet").code == 0


def test_a_teacher_that_fails_on_every_row(project, workdir):
    """Exit 1 with the reason and an example of what it said."""
    recipe = project.write_project(workdir)
    project.change(recipe, SCRIPTED, f'{SCRIPTED}, "malformed": 1.0')
    told(project.command("run", recipe), 1, "40 of the last 40 rows failed", "'parse'")
    status = project.command("status", "tiny", "--json").json
    assert status["stages"][0]["state"] == "begun"
    # Every re-ask was paid too.
    assert status["cost"]["requests"] == 120


def test_a_target_that_is_missed(project, workdir):
    """Exit 0: the dataset is there, and the shortfall says how many rows are missing and why."""
    recipe = project.write_project(workdir)
    project.change(recipe, "ask: big}", "ask: big, accept: 60}")
    said = project.command("run", recipe)
    assert said.code == 0
    assert "shortfall: 35 of 60 rows. all 40 rows of the pool were tried" in said.out
    shortfall = project.command("run", recipe, "--json").json["shortfall"]
    assert (shortfall["accept"], shortfall["got"]) == (60, 35)


def test_nothing_survives(project, workdir):
    """An empty dataset is said aloud."""
    recipe = project.write_project(workdir)
    project.change(recipe, "words: [3, 9]", "words: [30, 90]")
    said = project.command("run", recipe)
    assert said.code == 0
    assert "no row survived the filters (length:too_short 40)" in said.out


@pytest.mark.parametrize("stage", ["fliter", "review"])
def test_an_unknown_stage(project, workdir, stage):
    """--until names the stages that this recipe has."""
    recipe = project.write_project(workdir)
    said = project.command("run", recipe, "--until", stage)
    told(said, 2, repr(stage), "(allowed: generate, filter, split)")


def test_a_missed_requirement(project, workdir):
    """A student under `evaluate.require` fails the run, exit 1; the report is there."""
    recipe = project.write_project(workdir, rows=16, student=True)
    project.change(recipe, "compare: [hard_labels]", "require: {accuracy: 0.99}")
    project.change(recipe, "steps: 60", "steps: 1")
    told(project.command("run", recipe), 1, "evaluate.require.accuracy", "at least 0.99")
    assert project.command("report", "tiny", "--json").json["metrics"]["student"]


def test_a_file_in_the_folders_place(project, workdir):
    """A run or a store that cannot be made names the path."""
    recipe = project.write_project(workdir)
    told(project.command("run", recipe, "--run-dir", "pool.csv"), 1, "pool.csv", "--run-dir")
    (workdir / ".distill").write_text("")
    told(project.command("run", recipe), 1, ".distill", "choose another folder")


@contextmanager
def mounted(folder, *options):
    """A small file system of its own at this folder, where the machine allows it."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, timeout=20, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


def remount(folder, *options):
    mount = ["mount", "-o", ",".join(["remount", *options]), str(folder)]
    subprocess.run(mount, check=True, timeout=20)


@pytest.mark.parametrize("size", ["32k", "128k", "300k"])
def test_a_full_disk(project, workdir, size):
    """Wherever the space runs out: one line, exit 1; with more space the same command finishes."""
    recipe = project.write_project(workdir)
    with mounted(workdir / "small", f"size={size}"):
        os.chdir(workdir / "small")
        try:
            said = project.command("run", recipe)
            told(said, 1)
            assert any(word in said.err for word in ("full", "No space"))
            remount(workdir / "small", "size=64m")
            assert project.command("run", recipe, "--quiet").code == 0
            assert len(Path("runs/tiny/dataset/train.jsonl").read_text().splitlines()) > 20
        finally:
            os.chdir(workdir)


def test_a_disk_that_is_full_while_training(project, workdir):
    """Weights that cannot be written end the run in one line too, and the rows are kept."""
    recipe = project.write_project(workdir, rows=16, student=True)
    project.change(recipe, "steps: 60", "steps: 1")
    project.change(recipe, "hidden_size: 16", "hidden_size: 256")
    assert project.command("generate", recipe, "--quiet").code == 0
    with mounted(workdir / "runs/tiny/stages/06-train", "size=64k"):
        said = project.command("train", recipe)
        told(said, 1)
        assert any(word in said.err for word in ("full", "No space"))
    assert project.command("train", recipe, "--quiet").code == 0


def test_a_read_only_folder(project, workdir):
    """A run that may not be written says so; a finished one is not harmed."""
    recipe = project.write_project(workdir)
    with mounted(workdir / "fixed", "size=8m"):
        assert project.command("run", recipe, "--run-dir", "fixed/run", "--quiet").code == 0
        remount(workdir / "fixed", "ro")
        before = json.loads((workdir / "fixed/run/report.json").read_text())
        project.change(recipe, "words: [3, 9]", "words: [3, 90]")
        told(project.command("run", recipe, "--run-dir", "fixed/run"), 1, "fixed/run", "Read-only")
        assert project.command("report", "fixed/run", "--json").json == before
        assert project.command("status", "fixed/run").code == 0
