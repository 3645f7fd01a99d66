"""A run that is killed, interrupted or started twice loses nothing and asks nothing twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from teachers.scripted.server import Faults

pytestmark = pytest.mark.long

ROWS = 300
IN_FLIGHT = 16
KILLS = 4


def wait_for(met, seconds=30.0):
    """Waits until a condition is met, with a limit."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_kills_change_nothing(project, tmp_path):
    """Killed at random moments and finished: the same bytes as undisturbed, and no answer lost."""
    rng = random.Random(11)
    with project.served(Faults(latency_s=0.02)) as server:
        folders = [tmp_path / name for name in ("killed", "calm")]
        for folder in folders:
            project.write_project(folder, rows=ROWS, teacher=server.teacher())
        killed, calm = folders
        for _ in range(KILLS):
            before = server.requests
            process = project.start("generate", "recipe.yaml", cwd=killed)
            # Killed somewhere among its requests; the rest is left to the ones after it.
            goal = before + rng.randint(1, 50)
            wait_for(lambda goal=goal, process=process: (
                server.requests >= goal or process.poll() is not None
            ))  # fmt: skip
            process.send_signal(signal.SIGKILL)
            assert project.finish(process).code == -signal.SIGKILL
        assert 0 < server.requests < ROWS + KILLS * IN_FLIGHT
        said = project.finish(project.start("generate", "recipe.yaml", "--json", cwd=killed))
        assert said.code == 0, said.err
        assert ROWS <= server.requests <= ROWS + KILLS * IN_FLIGHT
        made = said.json["rows"][0]
        assert made["in"] == made["accepted"] == ROWS
        asked = server.requests
        said = project.finish(project.start("generate", "recipe.yaml", "--json", cwd=calm))
        assert said.code == 0, said.err
        assert server.requests == asked + ROWS
    for name in ("train.jsonl", "val.jsonl", "openai.jsonl"):
        one, other = ((folder / "runs/tiny/dataset" / name).read_bytes() for folder in folders)
        assert one == other
    assert not list(Path(killed).rglob("*.part"))


GROWING = """\
version: 1
name: tiny
seed: 3
teachers:
  big: TEACHER
task: {kind: classify, labels: [billing, bug, other]}
data: {seeds: seeds.jsonl}
generate:
  accept: 90
  candidates: 900
  balance: label
  fields:
    examples: {sample: accepted, count: 2}
    label: {sample: labels}
    n: {sample: N}
    text: {ask: big, prompt: "Write case {{ n }} about {{ label }} unlike {{ examples | json }}"}
    check: {ask: big, prompt: "{{ text }} about {{ label }}", votes: 2, choices: labels}
filter:
  - duplicate: {field: n}
split: {train: 0.8, val: 0.2, keep_together: [seed]}
"""


@pytest.mark.slow
def test_twenty_kills_of_a_growing_run(project, tmp_path):
    """Rounds, growth, balance and votes, killed 20 times: the same bytes, few extra calls."""
    rng = random.Random(29)
    with project.served(Faults(latency_s=0.02)) as server:
        folders = [tmp_path / name for name in ("killed", "calm")]
        for folder in folders:
            project.write_project(folder)
            (folder / "seeds.jsonl").write_text(
                '{"text": "refund me", "label": "billing"}\n{"text": "it broke", "label": "bug"}\n'
            )
            teacher = project.json.dumps(server.teacher(max_tokens=60))
            text = GROWING.replace("TEACHER", teacher).replace("N}", f"{list(range(400))}}}")
            (folder / "recipe.yaml").write_text(text)
        killed, calm = folders
        said = project.finish(project.start("generate", "recipe.yaml", "--json", cwd=calm))
        assert said.code == 0, said.err
        needed = server.requests
        kills = 0
        while kills < 20:
            before = server.requests
            process = project.start("generate", "recipe.yaml", cwd=killed)
            goal = before + rng.randint(1, max(2, needed // 25))
            wait_for(lambda goal=goal, process=process: (
                server.requests >= goal or process.poll() is not None
            ))  # fmt: skip
            process.send_signal(signal.SIGKILL)
            assert project.finish(process).code == -signal.SIGKILL
            kills += 1
        said = project.finish(project.start("generate", "recipe.yaml", "--json", cwd=killed))
        assert said.code == 0, said.err
        assert said.json["shortfall"] is None
        assert needed <= server.requests - needed <= needed + kills * IN_FLIGHT
    for name in ("train.jsonl", "val.jsonl", "openai.jsonl"):
        one, other = ((folder / "runs/tiny/dataset" / name).read_bytes() for folder in folders)
        assert one == other


def test_a_second_interrupt_ends_now(project, tmp_path):
    """Ctrl-C waits for what is in flight; a second one does not."""
    with project.served(Faults(latency_s=4.0)) as server:
        recipe = project.write_project(tmp_path, rows=40, teacher=server.teacher(concurrency=4))
        process = project.start("generate", recipe, cwd=tmp_path)
        wait_for(lambda: server.requests >= 4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = project.finish(process)
        assert said.code == 130
        assert time.monotonic() - asked < 2.5
        assert "Traceback" not in said.err


def test_an_interrupt_and_a_second_process(project, tmp_path):
    """A second process is refused with the first one's pid; Ctrl-C ends with 130; it goes on."""
    # Slow enough that a busy machine runs the two other commands long before the last answer.
    with project.served(Faults(latency_s=1.5)) as server:
        teacher = server.teacher(concurrency=4)
        recipe = project.write_project(tmp_path, rows=40, teacher=teacher)
        process = project.start("generate", recipe, cwd=tmp_path)
        wait_for(lambda: server.requests >= 8)
        here = Path.cwd()
        os.chdir(tmp_path)
        try:
            second = project.command("generate", recipe)
            status = project.command("status", "tiny", "--json").json
        finally:
            os.chdir(here)
        assert second.code == 1
        assert f"held by process {process.pid}" in second.err
        assert (status["pid"], status["stages"][0]["state"]) == (process.pid, "begun")
        process.send_signal(signal.SIGINT)
        said = project.finish(process)
        assert said.code == 130
        assert said.out == ""
        assert [line for line in said.err.splitlines() if not line.startswith("generate: ")] == [
            "error: interrupted; everything answered so far is stored. Run the same command again."
        ]
        asked = server.requests
        assert asked < 40
        # What was in flight when the interrupt came is paid for, so it was waited for and kept.
        faster = ("--set", "teachers.big.concurrency=40")
        assert project.finish(project.start("generate", recipe, *faster, cwd=tmp_path)).code == 0
        assert server.requests == 40
