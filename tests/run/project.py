"""A small project on disk, the scripted teacher over HTTP, the command in and out of process."""

import asyncio
import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from distill.cli.main import main
from distill.measure.duplicates import NearDuplicates
from teachers.config import ScriptedTeacher
from teachers.scripted.server import Faults, Server

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("billing", "bug", "other")
WORDS = {
    "billing": ("invoice", "refund", "charge", "card", "price"),
    "bug": ("crash", "error", "freeze", "screen", "glitch"),
    "other": ("hello", "thanks", "question", "weather", "team"),
}
RULE = {"when": "about (billing|bug|other)", "answers": ["{1}"]}
"""The scripted teacher is right because every text says what it is about."""

DATA = """\
version: 1
name: tiny
seed: 3
teachers:
  big: TEACHER
task: {kind: classify, labels: [billing, bug, other], prompt: "{{ text }} ->"}
data: {pool: pool.csv, gold: gold.jsonl}
generate: {strategy: label_pool, ask: big}
filter:
  - length: {field: text, words: [3, 9]}
  - refusal
split: {train: 0.8, val: 0.2}
"""
STUDENT = """\
student:
  init: scratch
  tokenizer: {bpe: 300}
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
train: {batch: 8, steps: 60, lr: 2.0e-2, max_length: 64}
evaluate: {on: [gold, val], baselines: [majority, zero_shot], compare: [hard_labels]}
export: {license: mit}
"""


def texts(count: int, start: int = 0) -> list[tuple[str, str]]:
    """So many different texts with their labels; every eighth one is too long for the filter."""
    rows = []
    for at in range(start, start + count):
        label = LABELS[at % 3]
        one, two = (WORDS[label][(at * step + at // 5) % 5] for step in (1, 3))
        tail = " and so on and so forth" if at % 8 == 7 else ""
        rows.append((f"case {at} {one} {two} about {label}{tail}", label))
    return rows


def write_project(
    folder: Path, *, rows: int = 40, student: bool = False, teacher: Any = None, more: str = ""
) -> Path:
    """A recipe with its pool and gold; returns the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pool.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text, _ in texts(rows))])
    gold = [{"text": text, "label": label} for text, label in texts(18, start=1000)]
    (folder / "gold.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in gold))
    spec = teacher or {"kind": "scripted", "script": [RULE]}
    text = (DATA + (STUDENT if student else "") + more).replace("TEACHER", json.dumps(spec))
    (folder / "recipe.yaml").write_text(text)
    return folder / "recipe.yaml"


def change(path: Path, old: str, new: str) -> None:
    """Changes one thing in a text file."""
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))


@dataclass
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as the one JSON object that it is."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def command(*args: object) -> Said:
    """Runs the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(arg) for arg in args])
        except SystemExit as stop:
            code = stop.code
    return Said(int(code or 0), out.getvalue(), err.getvalue())


def start(*args: object, cwd: Path, **env: str) -> "subprocess.Popen[str]":
    """Starts the real command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "distill", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts the tests in the background makes its children deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: "subprocess.Popen[str]", timeout: float = 60) -> Said:
    """Waits for a process that `start` started."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return Said(process.returncode, out, err)


@dataclass
class Served:
    """The scripted teacher over HTTP, for processes and for this one."""

    url: str
    server: Server

    @property
    def requests(self) -> int:
        """How many were sent here."""
        return self.server.stats["requests"]

    def teacher(self, **more: Any) -> dict[str, Any]:
        """The settings of a teacher at this address."""
        return {"kind": "openai", "model": "m", "base_url": self.url, **more}


@contextlib.contextmanager
def served(faults: Faults | None = None, **fields: Any) -> Iterator[Served]:
    """Serves from a thread of this process until the block ends."""
    config = ScriptedTeacher(kind="scripted", script=[RULE], choices=list(LABELS), **fields)
    server = Server(config, faults or Faults())
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)

    async def begin() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/v1"

    url = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Served(url, server)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


COMMON = (
    "card",
    "charged",
    "twice",
    "refund",
    "order",
    "mail",
    "nobody",
    "answers",
    "monday",
    "help",
)


def planted(rng, count):
    """Texts, two fifths of which are copies or near copies of others, some of a template."""
    texts = []
    for at in range(count):
        kind = rng.random()
        if texts and kind < 0.15:
            texts.append(rng.choice(texts))
        elif texts and kind < 0.4:
            words = rng.choice(texts).split()
            words[rng.randrange(len(words))] = rng.choice(COMMON)
            texts.append(" ".join(words))
        elif kind < 0.5:
            texts.append(f"ticket {at % 7} please send the money back to my old account today")
        else:
            texts.append(" ".join(rng.choices(COMMON, k=rng.randint(1, 25))))
    return texts


def alone(texts, similarity):
    """What the index of one machine says of each text in turn."""
    rows = ((str(at), text) for at, text in enumerate(texts))
    return [found and found[1] for _, found in NearDuplicates(similarity).add_if_new(rows)]
