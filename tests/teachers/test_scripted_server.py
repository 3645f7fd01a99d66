import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest


@contextmanager
def started(*flags, env=None):
    """`python -m teachers.scripted` on a free port; gives the process and its address."""
    command = [sys.executable, "-m", "teachers.scripted", "--port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    guard = threading.Timer(20, process.kill)
    guard.start()
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        guard.cancel()
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "order 7"}]}


def test_command_serves_until_told_to_stop(tmp_path):
    """All routes answer by the file and the flags; SIGTERM ends it with 0."""
    file = tmp_path / "teacher.yaml"
    file.write_text('script: [{when: "order (.)", answers: ["number {1}"]}]\n')
    with started("--config", str(file), "--logprobs") as (process, url):
        assert call(url.removesuffix("/v1") + "/health") == (200, {"status": "ok"})
        assert call(f"{url}/models")[1]["data"][0]["id"] == "scripted"
        status, body = call(
            f"{url}/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2}
        )
        choice = body["choices"][0]
        assert (status, choice["message"]["content"]) == (200, "number 7")
        assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 2
        status, body = call(f"{url}/completions", {"model": "m", "prompt": "order 8"})
        assert body["choices"][0]["text"] == "number 8"
        status, body = call(f"{url}/chat/completions", {"messages": []})
        assert (status, "messages is empty" in body["error"]["message"]) == (400, True)
        stats = call(url.removesuffix("/v1") + "/stats")[1]
        assert (stats["requests"], stats["answered"], stats["error_400"]) == (3, 2, 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_errors_and_labels_by_flag(tmp_path):
    """Errors, Retry-After and wrong labels follow the flags; --logprobs has to be given."""
    file = tmp_path / "teacher.json"
    file.write_text('{"choices": ["a", "b"], "script": [{"answers": ["a"]}]}')
    with started("--config", str(file), "--wrong", "1") as (_, url):
        body = call(f"{url}/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2})[1]
        assert body["choices"][0]["message"]["content"] == "b"
        assert body["choices"][0]["logprobs"] is None
    flags = ("--error-rate", "1", "--error-code", "429", "--retry-after", "0.5")
    with started(*flags) as (_, url):
        request = urllib.request.Request(f"{url}/chat/completions", json.dumps(CHAT).encode())
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert (caught.value.code, caught.value.headers["Retry-After"]) == (429, "0.5")
        caught.value.close()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--config", "missing.yaml"), "missing.yaml"),
        (("--wrong", "2"), "between 0 and 1"),
        (("--require-key-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
    ],
)
def test_mistakes_are_one_line(flags, said):
    """A wrong flag or file ends with 2 and a message, without a traceback."""
    command = [sys.executable, "-m", "teachers.scripted", "--port", "0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_field_in_the_file(tmp_path):
    """A field that a scripted teacher has not is named."""
    file = tmp_path / "teacher.yaml"
    file.write_text("wrnog: 0.1\n")
    command = [sys.executable, "-m", "teachers.scripted", "--port", "0", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, "wrnog" in done.stderr) == (2, True)
