"""The openai adapter against a server that is not ours: `transformers serve` on a real model."""

import json
import socket
import sys
from pathlib import Path

import pytest

ROWS = 50
RECIPE = """\
version: 1
name: served
teachers:
  writer:
    kind: openai
    base_url: "http://127.0.0.1:{port}/v1"
    model: {model}
    chat: false
    max_tokens: 40
    concurrency: 4
    # This server samples only where its own generation settings say so.
    params: {{seed: 5, generation_config: '{{"do_sample": true, "eos_token_id": [1, 2]}}'}}
task: {{kind: generate, input: opening, output: continuation}}
data: {{pool: pool.jsonl}}
generate:
  fields:
    continuation: {{ask: writer, prompt: "{{{{ opening }}}}", truncated: accept, strip: false}}
"""


@pytest.fixture(scope="module")
def folder(real, tmp_path_factory):
    """A folder with the recipe and openings of 50 real stories; the port is in the recipe."""
    where = tmp_path_factory.mktemp("served")
    stories = json.loads((real / "data/tinystories/tinystories_1000.json").read_text("utf-8"))
    rows = [{"opening": " ".join(story.split())[:32]} for story in stories[:ROWS]]
    (where / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = real / "models" / "babyllama-tok361"
    (where / "served.yaml").write_text(RECIPE.format(port=port, model=model))
    (where / "port").write_text(str(port))
    return where


@pytest.fixture(scope="module")
def asked(real, folder, distill, start, until_up):
    """What `distill generate` said with the server up; the server is stopped afterwards."""
    port = (folder / "port").read_text()
    command = [
        Path(sys.executable).with_name("transformers"), "serve",
        real / "models" / "babyllama-tok361", "--device", "cpu", "--port", port,
    ]  # fmt: skip
    log = folder / "server.log"
    with log.open("w") as file, start(*command, cwd=folder, stdout=file, stderr=file) as server:
        until_up(f"http://127.0.0.1:{port}/health", server, log, timeout=120)
        return distill("generate", "served.yaml", "--run-dir", "first", cwd=folder, timeout=180)


def dataset(folder, run):
    return (folder / run / "dataset" / "train.jsonl").read_bytes()


def test_fifty_answers_from_a_server_of_others(folder, asked):
    """Every opening is continued, each within its 40 tokens, and every token is accounted for."""
    assert asked.code == 0, asked.err
    report = asked.report
    generate = report["rows"][0]
    assert (generate["stage"], generate["in"], generate["accepted"]) == ("generate", ROWS, ROWS)
    cost = report["cost"]
    assert (cost["requests"], cost["stored_answers"], cost["unknown"]) == (ROWS, 0, 0)
    # One character is one token here, and the prompt has a token for its beginning.
    assert cost["input_tokens"] >= ROWS * 32
    assert 0 < cost["output_tokens"] <= ROWS * 40
    fields = [json.loads(line)["fields"] for line in dataset(folder, "first").splitlines()]
    assert all(0 < len(row["continuation"]) <= 40 for row in fields)
    assert len({row["continuation"] for row in fields}) > ROWS * 0.8


def test_everything_comes_from_the_store_once_the_server_is_gone(folder, asked, distill):
    """The same recipe in another run asks nobody and makes the same dataset, byte for byte."""
    again = distill("generate", "served.yaml", "--run-dir", "second", cwd=folder, timeout=120)
    assert again.code == 0, again.err
    cost = again.report["cost"]
    assert (cost["requests"], cost["stored_answers"]) == (0, ROWS)
    assert (cost["input_tokens"], cost["output_tokens"]) == (0, 0)
    assert dataset(folder, "second") == dataset(folder, "first")


def test_new_asks_of_a_stopped_server_fail_in_words(folder, asked, distill):
    """What the store does not hold fails after the retries, with the address in the message."""
    said = distill(
        "generate", "served.yaml", "--run-dir", "third", "--set", "teachers.writer.max_tokens=41",
        cwd=folder, timeout=120,
    )  # fmt: skip
    assert said.code == 1
    assert (folder / "port").read_text() in said.report["error"]["message"]
    assert "Traceback" not in said.err
