"""Teachers of a run as users meet them: by batch, in one account, with secret keys."""

import json
import sqlite3
from contextlib import closing

import pytest

from distill.recipe.load import load_recipe
from distill.run.teachers import TeacherPool
from teachers.scripted.server import Faults

KEY = "sk-very-secret-0123456789"
HEADER = "team-secret-9876543210"


def test_a_run_by_batch(project, tmp_path, monkeypatch):
    """`mode: batch` makes the same dataset as online, with its state in the ledger."""
    monkeypatch.chdir(tmp_path)
    made = {}
    with project.served() as server:
        for mode in ("online", "batch"):
            folder = tmp_path / mode
            project.write_project(folder, rows=24, teacher=server.teacher(mode=mode))
            monkeypatch.chdir(folder)
            before = server.requests
            said = project.command("generate", "recipe.yaml", "--json")
            assert said.code == 0, said.err
            made[mode] = (folder / "runs/tiny/dataset/train.jsonl").read_bytes()
            if mode == "batch":
                assert server.requests == before
    assert made["online"] == made["batch"]
    with closing(sqlite3.connect("runs/tiny/ledger.sqlite")) as ledger:
        notes = [json.loads(row[0]) for row in ledger.execute(
            "SELECT data FROM events WHERE kind = 'note'"
        )]  # fmt: skip
    assert any("completed, 24 of 24 done" in note["note"] for note in notes)


@pytest.mark.parametrize("accepted", [True, False])
def test_keys_are_in_no_file_and_no_message(project, tmp_path, monkeypatch, accepted):
    """Neither a key nor a header's value is in any file, report, log or error; also of a refusal
    that repeats it."""
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MY_HEADER", HEADER)
    monkeypatch.chdir(tmp_path)
    faults = Faults(key=KEY if accepted else "another", echoes_key=True)
    with project.served(faults) as server:
        teacher = server.teacher(api_key_env="MY_KEY", headers_env={"x-team": "MY_HEADER"})
        project.write_project(tmp_path, rows=8, teacher=teacher)
        said = [
            project.command(*args, "--debug")
            for args in (
                ("check", "recipe.yaml"),
                ("generate", "recipe.yaml", "--json"),
                ("status", "tiny"),
                ("report", "tiny"),
            )
        ]
    assert said[1].code == (0 if accepted else 1), said[1].err
    shown = "".join(one.out + one.err for one in said)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.sqlite" for path in files)
    for secret in (KEY, HEADER):
        assert secret not in shown
        assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_teachers_of_one_account_share_their_limits(project, tmp_path, monkeypatch):
    """Same address, key and model: one pace, as wide as the wider of the two."""
    monkeypatch.chdir(tmp_path)
    one = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    path = project.write_project(tmp_path, teacher={**one, "concurrency": 4, "rpm": 60})
    other = json.dumps({**one, "concurrency": 9, "temperature": 0})
    third = json.dumps({**one, "model": "n"})
    project.change(path, "teachers:\n", f"teachers:\n  judge: {other}\n  third: {third}\n")
    with TeacherPool(load_recipe(path), tmp_path / "l.sqlite", {}) as pool:
        limits = {name: pool[name]._limits for name in pool}
    assert limits["big"] is limits["judge"] is not limits["third"]
    assert limits["big"].most == 9
