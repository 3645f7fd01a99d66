"""15,000 real requests of 151 intents labelled by a pool of four servers, one of which dies."""

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack

import pytest
import yaml

from distill.rows.stages import read_stage

ROWS = 15_000
SERVERS = 4
DIES_AFTER = 1_500
"""Requests that the first server answers before it is killed."""
IN_FLIGHT = 128
RECIPE = """\
version: 1
name: intents
teachers:
  pool: {kind: openai, model: scripted, base_url: URLS, max_tokens: 16, temperature: 0,
         price: {input: 1, output: 1}, concurrency: 128}
budget: {usd: 50}
task: {kind: classify, input: text, output: label, labels: LABELS}
data: {pool: pool.jsonl}
generate: {strategy: label_pool, ask: pool}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(real, tmp_path_factory):
    """The pool (the out-of-scope requests among it), its labels, the script of the servers."""
    splits = json.loads((real / "data" / "clinc150" / "data_full.json").read_text("utf-8"))
    outside = [row for name in ("oos_train", "oos_val", "oos_test") for row in splits[name]]
    inside = random.Random(150).sample(splits["train"], ROWS - len(outside))
    rows = [*inside, *outside]
    random.Random(1).shuffle(rows)
    folder = tmp_path_factory.mktemp("clinc150")
    lines = (json.dumps({"text": text}) + "\n" for text, _ in rows)
    (folder / "pool.jsonl").write_text("".join(lines), "utf-8")
    labels = sorted({label for _, label in rows})
    assert "oos" in labels
    assert len(labels) == 151
    script = {"script": [{"when": "", "answers": labels}], "malformed": 0.0, "choices": labels}
    (folder / "script.yaml").write_text(yaml.safe_dump(script), "utf-8")
    return folder, labels


def counts(url):
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as response:
        return json.load(response)


def kill_midway(process, url, last):
    """Kills a server that has answered enough; keeps what it had counted."""
    while process.poll() is None:
        found = counts(url)
        if found.get("requests", 0) >= DIES_AFTER:
            last.update(found)
            process.kill()
            return
        time.sleep(0.05)


def test_a_pool_of_servers_outlives_one_of_them(project, distill, start):
    """Every row is labelled, none is paid for twice but what the dead server took with it."""
    folder, labels = project
    with ExitStack() as stack:
        served, urls = [], []
        for _ in range(SERVERS):
            command = ("-m", "teachers.scripted", "--port", "0", "--config", "script.yaml")
            process = stack.enter_context(
                start(sys.executable, *command, cwd=folder, stdout=subprocess.PIPE, text=True)
            )
            urls.append(process.stdout.readline().split()[-1])
            served.append(process)
        text = RECIPE.replace("URLS", json.dumps(urls)).replace("LABELS", json.dumps(labels))
        (folder / "recipe.yaml").write_text(text, "utf-8")
        dead = {}
        killer = threading.Thread(target=kill_midway, args=(served[0], urls[0], dead))
        killer.start()
        said = distill("generate", "recipe.yaml", cwd=folder, timeout=600)
        killer.join(10)
        alive = [counts(url) for url in urls[1:]]
    assert said.code == 0, said.err
    assert served[0].returncode == -9
    rows = list(read_stage(folder / "runs/intents/stages/01-generate"))
    assert len(rows) == ROWS
    assert {row.status for row in rows} == {"accepted"}
    assert {row.fields["label"] for row in rows} == set(labels)
    different = len({row.fields["text"] for row in rows})
    asked = dead["requests"] + sum(one["requests"] for one in alive)
    assert different <= asked <= different + 2 * IN_FLIGHT
    assert min(one["requests"] for one in alive) > ROWS // 8
    # Once more, with no server at all: everything comes from the store, byte for byte.
    again = distill("generate", "recipe.yaml", "--run-dir", "again", cwd=folder, timeout=300)
    assert again.code == 0, again.err
    first, second = (folder / name / "dataset/train.jsonl" for name in ("runs/intents", "again"))
    assert first.read_bytes() == second.read_bytes()
    assert again.report["cost"]["requests"] == 0
    print(f"{ROWS / said.seconds:.0f} rows/s, {ROWS / again.seconds:.0f} rows/s from the store")
