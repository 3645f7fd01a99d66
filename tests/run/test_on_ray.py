"""`run.engine: ray`: the rows of the local engine, one budget, nothing paid twice."""

import json
import logging
import os
import threading
import time
from contextlib import contextmanager

import pytest

from teachers.scripted.server import Faults

pytest.importorskip("ray")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

MEMORY = 100 * 2**20
SECONDS = 60.0


@pytest.fixture(scope="module")
def ray():
    """A small Ray of this machine, which the runs of this module share."""
    import ray

    ray.init(
        address="local",
        namespace="distill",
        num_cpus=2,
        object_store_memory=MEMORY,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield ray
    ray.shutdown()


def datasets(folder):
    """The bytes of a run's dataset files."""
    return {path.name: path.read_bytes() for path in (folder / "runs/tiny/dataset").glob("*.jsonl")}


@contextmanager
def meanwhile(met, act):
    """Does something from another thread as soon as a condition is met."""
    end = time.monotonic() + SECONDS
    done = threading.Event()

    def watch():
        while time.monotonic() < end and not done.is_set():
            if met():
                act()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(SECONDS)


WRITES = """\
version: 1
name: tiny
seed: 3
teachers:
  big: TEACHER
  strict: {kind: scripted, script: [{when: ".", answers: ["1", "2", "3"]}]}
task: {kind: classify, labels: [billing, bug, other]}
generate:
  accept: 24
  candidates: 90
  fields:
    label: {sample: labels}
    n: {sample: n.txt}
    size: {python: "own.py:size", args: {of: "{{ label }}"}}
    text: {ask: big, prompt: "Write {{ n }} of {{ size }} about {{ label }}"}
    check: {ask: big, prompt: "{{ text }} about {{ label }}", votes: 2, choices: labels}
filter:
  - length: {field: text, words: [1, 9]}
  - judge: {ask: strict, rubric: rubric.md, min: 2}
split: {train: 0.8, val: 0.2}
run: {engine: ENGINE}
"""
OWN = """\
import beside

async def size(row, ask, of):
    return beside.letters(of)
"""
RUBRIC = "---\nscale: {min: 1, max: 3}\n---\nIs it about billing or bug or other?\n"


def test_rows_are_those_of_the_local_engine(ray, project, tmp_path, monkeypatch):
    """The same bytes and costs, each question asked once; own functions travel to the workers."""
    made = {}
    rules = [
        {"when": "^Write (\\d+) .*about (\\w+)", "answers": ["case {1} about {2}", "it is {2}"]},
        {"when": "about (billing|bug|other)", "answers": ["{1}"]},
    ]
    for engine in ("local", "ray"):
        folder = tmp_path / engine
        folder.mkdir()
        (folder / "own.py").write_text(OWN)
        (folder / "beside.py").write_text("def letters(word):\n    return len(word)\n")
        (folder / "rubric.md").write_text(RUBRIC)
        (folder / "n.txt").write_text("\n".join(map(str, range(90))))
        teacher = {"kind": "scripted", "script": rules, "price": {"input": 1, "output": 2}}
        text = WRITES.replace("TEACHER", json.dumps(teacher)).replace("ENGINE", engine)
        (folder / "recipe.yaml").write_text(text)
        monkeypatch.chdir(folder)
        said = project.command("generate", folder / "recipe.yaml", "--json")
        assert said.code == 0, said.err
        made[engine] = datasets(folder), said.json["rows"], said.json["cost"]
    assert made["ray"] == made["local"]
    assert len(made["ray"][0]["train.jsonl"]) > 1000


def test_the_cap_holds_and_a_resume_asks_the_rest(ray, project, tmp_path, monkeypatch):
    """Workers on all sides spend from one budget; raising it pays for what is missing alone."""
    with project.served(Faults(key="open sesame")) as server:
        monkeypatch.setenv("OUR_KEY", "open sesame")
        teacher = server.teacher(api_key_env="OUR_KEY")
        more = "budget: {requests: 25}\nrun: {engine: ray}\n"
        recipe = project.write_project(tmp_path, rows=60, teacher=teacher, more=more)
        monkeypatch.chdir(tmp_path)
        said = project.command("generate", recipe, "--json")
        assert said.code == 4, said.err
        assert server.requests == 25
        said = project.command("generate", recipe, "--set", "budget.requests=99", "--json")
        assert said.code == 0, said.err
        assert server.requests == said.json["cost"]["requests"] == 60


def test_a_lost_desk_is_told_and_loses_nothing(ray, project, tmp_path, monkeypatch):
    """The actor that asks dies: the run says so, and the same command pays for no answer twice."""

    def kill():
        [name] = ray.util.list_named_actors()
        ray.kill(ray.get_actor(name))

    with project.served(Faults(latency_s=0.05)) as server:
        teacher = server.teacher(concurrency=8)
        recipe = project.write_project(
            tmp_path, rows=120, teacher=teacher, more="run: {engine: ray}\n"
        )
        monkeypatch.chdir(tmp_path)
        with meanwhile(lambda: server.requests > 20, kill):
            said = project.command("generate", recipe)
        assert said.code == 1, said.err
        assert "was lost" in said.err
        assert "Run the same command again" in said.err
        said = project.command("generate", recipe, "--json")
        assert said.code == 0, said.err
        assert 120 <= server.requests <= 120 + 8


def test_a_refused_key_stops_the_run(ray, project, tmp_path, monkeypatch):
    """What the desk is refused is what a local run would say."""
    with project.served(Faults(key="open sesame")) as server:
        monkeypatch.setenv("OUR_KEY", "wrong")
        teacher = server.teacher(api_key_env="OUR_KEY")
        recipe = project.write_project(
            tmp_path, rows=30, teacher=teacher, more="run: {engine: ray}\n"
        )
        monkeypatch.chdir(tmp_path)
        said = project.command("generate", recipe)
        assert said.code == 1, said.err
        assert "API key" in said.err or "401" in said.err
        assert "wrong" not in said.err.replace("wrong key", "")


def test_an_address_where_no_cluster_is(project, tmp_path, monkeypatch):
    """Found before anything is asked: nonsense by `check`, nothing listening by the run."""
    recipe = project.write_project(
        tmp_path, rows=10, more="run: {engine: ray, address: 'ray://far:10001'}\n"
    )
    assert project.command("check", recipe).code == 2
    project.change(recipe, "engine: ray, address: 'ray://far:10001'", "address: 'far:1'")
    assert project.command("check", recipe).code == 2
