"""The real inputs beside the checkout, and the command as users start it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

# Threads of a tiny model cost more than they bring, many times more on a busy machine.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="session")
def real():
    """The folder of real models and datasets; the test is skipped where there is none."""
    folder = ROOT.parent / "shared" / "real"
    if not folder.is_dir():
        pytest.skip("real inputs are absent: no folder ../shared/real beside the checkout")
    return folder


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def report(self):
        """The one JSON object on stdout."""
        return json.loads(self.out)


@pytest.fixture(scope="session")
def python():
    """A function that runs this Python with arguments, in a folder."""

    def run(*arguments, cwd, timeout):
        command = [sys.executable, *map(str, arguments)]
        subprocess.run(command, cwd=cwd, env=ENVIRONMENT, timeout=timeout, check=True)

    return run


@pytest.fixture(scope="session")
def distill():
    """A function that runs `distill ARGUMENTS --json` in a folder and returns what it said."""

    def run(*arguments, cwd, timeout):
        command = [str(BIN / "distill"), *map(str, arguments), "--json"]
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=cwd, env=ENVIRONMENT, timeout=timeout, capture_output=True, text=True
        )
        return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    return run


@pytest.fixture(scope="session")
def start():
    """A context manager: a program that runs in the background until the block ends."""

    @contextmanager
    def started(*command, cwd, **options):
        process = subprocess.Popen(list(map(str, command)), cwd=cwd, env=ENVIRONMENT, **options)
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=30)
            if process.stdout is not None:
                process.stdout.close()

    return started


@pytest.fixture(scope="session")
def until_up():
    """A function that waits until a server answers an address, or its process has ended."""

    def wait(url, process, log, timeout):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            assert process.poll() is None, log.read_text("utf-8")[-3000:]
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    assert response.status == 200
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        raise AssertionError(
            f"{url} did not answer in {timeout} s\n{log.read_text('utf-8')[-3000:]}"
        )

    return wait
