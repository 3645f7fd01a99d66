"""`run.engine: ray`: the rows of the local engine, one budget, nothing paid twice."""

import asyncio
import json
import logging
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.errors import DataError, UsageError
from distill.filters.chain import build_chain
from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.sources import Item
from distill.recipe.schema import Recipe
from distill.rows.row import Row
from distill.rows.slices import SIMILARITY
from distill.run.on_ray.cluster import Cluster
from distill.run.on_ray.large import deduplicate
from distill.run.on_ray.look import ClusterPlace
from distill.run.on_ray.near import nearest_kept
from distill.run.on_ray.sift import Workers
from teachers.scripted.server import Faults

pytestmark = pytest.mark.long

pytest.importorskip("ray")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

ROOT = Path(__file__).resolve().parents[2]
MEMORY = 100 * 2**20
SECONDS = 60.0
MAIL = "mail me at a@b.com or 192.168.0.17"


@pytest.fixture(scope="module")
def ray():
    """A small Ray of this machine, which the runs of this module share."""
    import ray

    ray.init(
        address="local",
        namespace="distill",
        num_cpus=2,
        object_store_memory=MEMORY,
        _system_config={"idle_worker_killing_time_threshold_ms": 120_000},
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_an_address_that_the_recipe_cannot_mean(project, tmp_path, monkeypatch):
    """Found by `check`: one of Ray's client, and one beside the local engine."""
    recipe = project.write_project(
        tmp_path, rows=10, more="run: {engine: ray, address: 'ray://far:10001'}\n"
    )
    assert project.command("check", recipe).code == 2
    project.change(recipe, "engine: ray, address: 'ray://far:10001'", "address: 'far:1'")
    assert project.command("check", recipe).code == 2


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no-such-host.invalid:6379"])
def test_an_address_where_nobody_listens(address, tmp_path):
    """Said at once, with what to start; Ray itself would try for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = address.format(port=free.getsockname()[1])
    code = (
        "from distill.run.on_ray.cluster import Cluster\n"
        f"Cluster({place!r}, (), {str(tmp_path)!r}).join()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert f"no Ray cluster can be used at {place!r}" in done.stderr
    assert "ray start --head" in done.stderr


def test_near_duplicates_by_group_by_are_those_of_one_machine(ray, project):
    """Of several thousand texts the same are kept, and dropped with the same similarity."""
    texts = project.planted(random.Random(1), 4000)
    found = nearest_kept(Cluster(None, (), "."), texts, 0.7)
    assert found == project.alone(texts, 0.7)
    assert 400 < sum(one is not None for one in found) < 3600


@pytest.mark.slow
def test_an_inspection_on_a_cluster(ray, project):
    """Looked at on workers, the report is the one of this process."""
    rng = random.Random(9)
    items = [
        Item(f"{at:05}", "train", {"instruction": text, "output": text[::-1] if at % 9 else "<b>"})
        for at, text in enumerate(
            [*project.planted(rng, 1500), "mail me at a@b.com or 192.168.0.17"]
        )
    ]
    place = ClusterPlace(Cluster(None, (), "."))
    place.least_texts = 100
    assert len(items) >= place.least_rows
    alone = inspect_rows(items, Options())
    assert inspect_rows(items, Options(), place=place) == alone
    assert alone["pii"]["email"]["count"] == 1
    assert alone["duplicates"]["near"] > 20


def test_filters_over_blocks(ray, project, tmp_path):
    """Stretches of free filters, a restored one and those that look at all rows: same verdicts."""
    rng = random.Random(5)
    rows = [
        Row(f"{at:05}", {"text": text, "label": "a"} if at % 50 else {"label": "a"})
        for at, text in enumerate(project.planted(rng, 2500))
    ]
    recipe = Recipe.model_validate(
        {
            "name": "t",
            "task": {"kind": "classify", "labels": ["a", "b"]},
            "data": {"gold": "gold.jsonl"},
            "generate": {"candidates": 1, "fields": {"label": {"sample": "labels"}}},
            "filter": [
                {"length": {"field": "text", "words": [3, 20]}},
                {"regex": {"field": "text", "forbid": "mail mail"}},
                {"pii": {"action": "mask"}},
                {"near_duplicate": {"field": "text", "similarity": 0.6}},
                {"duplicate": {"field": "text"}},
            ],
        }
    )
    tail = "please send the money back to my old account today"
    gold = [{"text": f"ticket {at} {tail}"} for at in range(7)]
    workers = Workers(Cluster(None, (), str(tmp_path)))
    workers.texts = 100
    sifted = []
    for elsewhere in (None, workers):
        heard = []
        chain = build_chain(
            recipe, gold=gold, restored={"regex"}, listen=heard.append, elsewhere=elsewhere
        )
        first, second = rows[:2000], rows[2000:]
        sifted.append([asyncio.run(chain.sift(part)) for part in (first, second)])
        sifted[-1].append([(one.done, one.figures) for one in heard])
    assert sifted[0] == sifted[1]
    reasons = {row.reason for row in sifted[0][0]}
    assert {"length:too_short", "near_duplicate", None} <= reasons
    assert any(reason and reason.startswith("not_in_gold") for reason in reasons)


SIGNALS = """\
student:
  init: scratch
  tokenizer: near
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
train: {batch: 8, steps: 20, lr: 1.0e-2, max_length: 64,
        signal: {kind: topk, from: near, k: 12}, loss: {kind: forward_kl, weight: 0.7, ce: 0.3}}
run: {engine: ENGINE}
"""


@pytest.mark.slow
def test_signals_of_workers_are_those_of_one_process(
    ray, project, trained_folder, tmp_path, monkeypatch
):
    """Workers load the teacher and score; the cache has the same bytes, and is filled once."""
    found = {}
    for engine in ("local", "ray"):
        folder = tmp_path / engine
        shutil.copytree(trained_folder / "runs" / "tiny" / "student", folder / "near")
        more = SIGNALS.replace("ENGINE", engine)
        recipe = project.write_project(folder, rows=200, more=more)
        project.change(recipe, "task:", "  near: {kind: local, model: near}\ntask:")
        monkeypatch.chdir(folder)
        said = project.command("logits", "capture", recipe, "--json")
        assert said.code == 0, said.err + said.out
        told = {name: said.json[name] for name in ("rows", "positions", "loss")}
        files = sorted((folder / "runs/tiny/signals").glob("*"))
        kept = {path.name: path.read_bytes() for path in files if path.suffix != ".lock"}
        kept["manifest.json"] = kept["manifest.json"].replace(str(folder).encode(), b"FOLDER")
        found[engine] = told, kept
    assert found["ray"] == found["local"]
    assert found["ray"][0]["rows"] > 100


def read(folder):
    """The rows of a folder's parts, in order."""
    rows = []
    for path in sorted(folder.glob("part-*")):
        if path.suffix == ".parquet":
            rows += pq.read_table(path).to_pylist()
        else:
            rows += [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def test_files_keep_what_one_machine_keeps(ray, project, tmp_path):
    """Two files of two kinds, cut into many slices: kept, dropped and likeness are the index's."""
    texts = project.planted(random.Random(4), 900)
    lines = [json.dumps({"text": text, "n": at}) for at, text in enumerate(texts[:500])]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rest = {"text": texts[500:], "n": list(range(500, 900))}
    pq.write_table(pa.table(rest), tmp_path / "b.parquet", row_group_size=150)
    heard = []
    found = deduplicate(
        Cluster(None, (), "."), [tmp_path / "a.jsonl", tmp_path / "b.parquet"],
        tmp_path / "out", "text", 0.6, slice_bytes=9000, listen=heard.append,
    )  # fmt: skip
    near = project.alone(texts, 0.6)
    kept, dropped = read(tmp_path / "out"), read(tmp_path / "out" / "dropped")
    assert [row["n"] for row in kept] == [at for at, one in enumerate(near) if one is None]
    assert {row["n"]: row[SIMILARITY] for row in dropped} == {
        at: one for at, one in enumerate(near) if one is not None
    }
    assert found["rows"] == 900 == len(kept) + len(dropped)
    assert min(len(kept), len(dropped)) > 100
    assert len(list((tmp_path / "out").glob("part-*"))) > 5
    assert heard[-1].done == heard[-1].total


def test_a_bad_row_is_named_by_its_line_of_the_file(ray, tmp_path):
    """Found before anything is written, though the line lies in a later slice."""
    lines = ['{"text": "a b c"}'] * 40 + ['{"text": }'] + ['{"text": "d"}'] * 9
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"a\.jsonl:41: not JSON"):
        deduplicate(
            Cluster(None, (), "."),
            [tmp_path / "a.jsonl"],
            tmp_path / "out",
            "text",
            0.8,
            slice_bytes=100,
        )
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(ray, tmp_path):
    """A folder that holds something is refused; a file without rows gives a summary alone."""
    (tmp_path / "a.jsonl").write_text("")
    deduplicate(Cluster(None, (), "."), [tmp_path / "a.jsonl"], tmp_path / "out", "text", 0.8)
    assert json.loads((tmp_path / "out" / "deduplicated.json").read_text())["rows"] == 0
    with pytest.raises(UsageError, match="in use"):
        deduplicate(Cluster(None, (), "."), [tmp_path / "a.jsonl"], tmp_path / "out", "text", 0.8)
