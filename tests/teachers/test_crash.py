"""What survives a killed process, and what never reaches a file."""

import os
import signal
import subprocess
import sys
import threading

from teachers import Budget, Caps, OpenAITeacher, Store
from teachers.keys import ask_key
from teachers.protocol import Ask, user

KEY = "sk-very-secret-0123456789"

RUN = """
import asyncio, sys
from teachers import *
url, folder = sys.argv[1:]
config = OpenAITeacher(kind="openai", model="m", base_url=url, api_key_env="SOME_KEY",
                       headers_env={"x-team": "SOME_KEY"}, price=Price(input=1, output=1))
async def main():
    store = Store(f"{folder}/store.sqlite")
    budget = Budget(f"{folder}/ledger.sqlite", Caps(usd=1), store=store)
    teacher = Gateway(build_adapter(config, "t"), config, name="t", store=store, budget=budget,
                      backoff_s=0.01)
    async def one(n):
        try:
            answer = await teacher.ask(Ask(messages=user(f"question {n}")))
            print(n, int(answer.stored), flush=True)
        except TeacherError as error:
            print(n, repr(error), flush=True)
    await asyncio.gather(*(one(n) for n in range(300)))
    await teacher.close()
    budget.close()
    store.close()
asyncio.run(main())
"""


def run(url, folder):
    environ = {**os.environ, "SOME_KEY": KEY}
    command = [sys.executable, "-c", RUN, url, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


def serve(*flags):
    command = [sys.executable, "-m", "teachers.scripted", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


def test_kill_loses_no_answer_that_was_reported(tmp_path):
    """After SIGKILL every reported answer is stored, the ledger counts the rest at its worst case,
    the next run pays for at most the asks in flight twice, and the key is in no file."""
    server, url = serve("--latency-s", "0.02", "--error-rate", "0.02")
    guard = threading.Timer(30, server.kill)
    guard.start()
    try:
        first = run(url, tmp_path)
        done = [first.stdout.readline() for _ in range(100)]
        first.send_signal(signal.SIGKILL)
        rest = first.communicate(timeout=10)[0]
        reported = {int(line.split()[0]) for line in [*done, *rest.splitlines()] if " 0" in line}
        store = Store(tmp_path / "store.sqlite")
        config = OpenAITeacher(kind="openai", model="m")
        kept = {
            n for n in range(300) if store.get(ask_key(config, Ask(messages=user(f"question {n}"))))
        }
        assert len(reported) >= 100
        assert reported <= kept
        budget = Budget(tmp_path / "ledger.sqlite", Caps(usd=1), store=store)
        totals = budget.totals()
        assert totals.requests - totals.unknown == len(kept)
        assert totals.unknown <= 16
        budget.close()
        store.close()
        second = run(url, tmp_path).communicate(timeout=30)[0].splitlines()
        assert len(second) == 300
        assert sum(line.endswith(" 1") for line in second) == len(kept)
    finally:
        guard.cancel()
        server.kill()
        server.communicate(timeout=10)
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_key_is_in_no_record_of_a_refusal(tmp_path):
    """A run whose key is refused leaves the key neither in its output nor in a file."""
    server, url = serve("--error-rate", "1", "--error-code", "401")
    guard = threading.Timer(30, server.kill)
    guard.start()
    try:
        process = run(url, tmp_path)
        out = process.communicate(timeout=30)[0]
    finally:
        guard.cancel()
        server.kill()
        server.communicate(timeout=10)
    assert "The key was refused" in out
    assert KEY not in out
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.iterdir())
