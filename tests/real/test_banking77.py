"""3,000 real messages labelled over HTTP by a faulty teacher, with the process killed meanwhile."""

import csv
import json
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import yaml

from distill.rows.stages import read_stage

ROWS = 3000
HOPELESS = 40
IN_FLIGHT = 32
KILLS = 8
FAULTS = {"wrong": 0.15, "refuse": 0.02, "malformed": 0.02}
REASKS = 2
"""What the gateway asks again after an answer that is no label."""


@dataclass(frozen=True, slots=True)
class Messages:
    """The pool, what is true of each text, and the files made of them."""

    truth: dict[str, str]
    hopeless: frozenset[str]
    """Texts that the teacher never gives a label to."""
    labels: list[str]
    gold: str
    folder: object


@pytest.fixture(scope="module")
def messages(real, tmp_path_factory):
    """3,000 messages drawn from the training file, and a script that knows their labels."""
    data = real / "data" / "banking77"
    with (data / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = random.Random(77).sample(list(csv.DictReader(file)), ROWS)
    truth = {}
    for row in rows:
        truth.setdefault(row["text"], row["category"])
    labels = json.loads((data / "categories.json").read_text("utf-8"))
    hopeless = frozenset(random.Random(7).sample(sorted(truth), HOPELESS))
    folder = tmp_path_factory.mktemp("banking77")
    with (folder / "pool.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["text"], *([row["text"]] for row in rows)])
    rules = [{"when": _any_of(hopeless), "answers": ["none of these"]}]
    for label in labels:
        texts = [text for text, name in truth.items() if name == label]
        if texts:
            rules.append({"when": _any_of(texts), "answers": [label]})
    script = {"choices": labels, "script": rules, **FAULTS}
    (folder / "script.json").write_text(json.dumps(script, ensure_ascii=False), "utf-8")
    return Messages(truth, hopeless, labels, str(data / "test.csv"), folder)


def _any_of(texts):
    """A pattern for prompts about one of the texts."""
    return r"Text:\n(?:" + "|".join(re.escape(text.strip()) for text in sorted(texts)) + r")\s*\n\n"


@contextmanager
def teacher(messages, start):
    """The scripted teacher over HTTP; gives its address."""
    command = [sys.executable, "-m", "teachers.scripted", "--port", "0"]
    command += ["--config", messages.folder / "script.json"]
    with start(*command, cwd=messages.folder, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().split()[-1]


def stats(address):
    """What the teacher counted."""
    url = address.removesuffix("/v1") + "/stats"
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


def project(messages, name, address):
    """A folder of its own, and so a store of its own, with the recipe."""
    folder = messages.folder / name
    folder.mkdir()
    recipe = {
        "version": 1,
        "name": "banking",
        "seed": 7,
        "teachers": {
            "labeller": {
                "kind": "openai",
                "base_url": address,
                "model": "scripted",
                "max_tokens": 20,
                "temperature": 0.0,
                "concurrency": IN_FLIGHT,
                "price": {"input": 0.5, "output": 1.5},
            }
        },
        "budget": {"usd": 5.0},
        "task": {
            "kind": "classify", "input": "text", "output": "category", "labels": messages.labels,
        },
        "data": {"pool": "../pool.csv", "gold": messages.gold},
        "generate": {"strategy": "label_pool", "ask": "labeller"},
        "filter": [
            {"length": {"field": "text", "words": [4, 60]}},
            {"duplicate": {"field": "text"}},
            "not_in_gold",
        ],
        "split": {"train": 0.9, "val": 0.1, "keep_together": ["duplicates"]},
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), "utf-8")
    return folder


@dataclass(frozen=True, slots=True)
class Finished:
    """A run and what its teacher counted."""

    folder: object
    report: dict
    stats: dict

    @property
    def run(self):
        """The run's folder."""
        return self.folder / "runs" / "banking"

    def files(self):
        """The dataset's lines, by file."""
        return {path.name: path.read_bytes() for path in (self.run / "dataset").glob("*.jsonl")}

    def stage(self, name):
        """The rows of a stage."""
        return list(read_stage(self.run / "stages" / name))


@pytest.fixture(scope="module")
def undisturbed(messages, start, distill):
    """The run that nobody kills."""
    with teacher(messages, start) as address:
        folder = project(messages, "undisturbed", address)
        said = distill("generate", "recipe.yaml", cwd=folder, timeout=180)
        assert said.code == 0, said.err + said.out
        return Finished(folder, said.report, stats(address))


def test_every_count_adds_up(undisturbed, messages):
    """No row is lost or counted twice from the pool to the files of the dataset."""
    generate, filtered, split = undisturbed.report["rows"]
    assert generate["in"] == ROWS == generate["accepted"] + generate["failed"]
    assert generate["rejected"] == 0
    assert filtered["in"] == generate["accepted"] == filtered["accepted"] + filtered["rejected"]
    assert filtered["failed"] == 0
    assert split["in"] == filtered["accepted"] == split["accepted"] + split["rejected"]
    for part in (generate, filtered, split):
        assert sum(part["reasons"].values()) == part["rejected"] + part["failed"]
    lines = {name: data.count(b"\n") for name, data in undisturbed.files().items()}
    assert lines["train.jsonl"] + lines["val.jsonl"] == split["accepted"]
    found = [row for row in undisturbed.stage("02-filter") if row.status == "rejected"]
    assert len(found) == filtered["rejected"] > 0
    # Kept by their content and their place, also where the same text stands in the pool twice.
    assert len({row.id for row in undisturbed.stage("01-generate")}) == ROWS
    assert sum(row.fields["text"] in messages.hopeless for row in found) == 0


def test_failures_are_the_rows_without_a_label(undisturbed, messages):
    """Rows fail whose every answer is no label, and next to no others: those are asked again."""
    failed = [row for row in undisturbed.stage("01-generate") if row.status == "failed"]
    assert {row.reason for row in failed} == {"parse"}
    texts = {row.fields["text"] for row in failed}
    assert messages.hopeless <= texts
    # A refusal or a malformed answer three times in a row: 0.04 ** 3 of 3,000 rows.
    assert len(texts - messages.hopeless) <= 3


def test_wrong_labels_are_the_share_that_was_asked_for(undisturbed, messages):
    """About 15 % of the labels differ from the true ones, the rest are the true ones."""
    rows = [row for row in undisturbed.stage("01-generate") if row.status == "accepted"]
    wrong = sum(row.fields["category"] != messages.truth[row.fields["text"]] for row in rows)
    assert 0.12 < wrong / len(rows) < 0.18


def test_every_request_is_accounted_for(undisturbed, messages):
    """The report's requests and tokens are those that the server counted, re-asks included."""
    cost, seen = undisturbed.report["cost"], undisturbed.stats
    assert cost["requests"] == seen["requests"]
    assert cost["input_tokens"] == seen["input_tokens"]
    assert cost["output_tokens"] == seen["output_tokens"]
    assert cost["unknown"] == 0
    usd = (0.5 * seen["input_tokens"] + 1.5 * seen["output_tokens"]) / 1e6
    assert cost["usd"] == pytest.approx(usd, rel=1e-9)
    # Equal texts share one ask, so distinct texts and their re-asks are all that was sent.
    unusable = seen["refused"] + seen["malformed"] + REASKS * HOPELESS
    assert len(messages.truth) < seen["requests"] <= len(messages.truth) + unusable + REASKS


def test_killed_runs_end_with_the_same_dataset(undisturbed, messages, start, distill):
    """Eight SIGKILLs at random moments lose no answer, and the dataset is the same byte for byte.

    What is asked again is at most what was in flight when the process died.
    """
    luck = random.Random(2026)
    with teacher(messages, start) as address:
        folder = project(messages, "killed", address)
        moments = sorted(luck.randrange(ROWS) for _ in range(KILLS))
        killed = sum(killed_at(moment, folder, address, start) for moment in moments)
        assert killed >= KILLS // 2
        said = distill("generate", "recipe.yaml", cwd=folder, timeout=180)
        assert said.code == 0, said.err + said.out
        found = Finished(folder, said.report, stats(address))
    assert found.files() == undisturbed.files()
    assert found.report["rows"] == undisturbed.report["rows"]
    assert_paid_once(found, undisturbed, killed)


def assert_paid_once(found, undisturbed, killed):
    """Beyond an undisturbed run only what was in flight at a kill was asked again."""
    in_flight = IN_FLIGHT * killed
    more = found.stats["requests"] - undisturbed.stats["requests"]
    assert 0 <= more <= in_flight
    cost = found.report["cost"]
    assert cost["unknown"] <= in_flight
    # The ledger knows of every request that reached the server, and of some that did not.
    assert found.stats["requests"] <= cost["requests"] <= found.stats["requests"] + in_flight


def killed_at(moment, folder, address, start):
    """Runs until the server has counted so many requests, then kills; whether it still lived."""
    log = folder / "killed.log"
    command = [sys.executable, "-m", "distill.cli.main", "generate", "recipe.yaml"]
    with log.open("w") as file, start(*command, cwd=folder, stdout=file, stderr=file) as process:
        end = time.monotonic() + 90
        while time.monotonic() < end and process.poll() is None:
            if stats(address).get("requests", 0) >= moment:
                # Some moments have passed before the process begins to ask; those hit its start.
                time.sleep(random.Random(moment).uniform(0.2, 2.5))
                break
            time.sleep(0.02)
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert alive or process.returncode == 0, log.read_text("utf-8")[-2000:]
        return alive
