"""The one command for CUDA hosts: what it cannot run is never passed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "bench" / "results"


def _check(*arguments, timeout):
    environment = {**os.environ, "PYTHON": sys.executable, "HF_HUB_OFFLINE": "1",
                   "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}  # fmt: skip
    name = f"test-{os.getpid()}"
    command = [ROOT / "scripts" / "gpu_check.sh", *arguments, "--out", name]
    path = RESULTS / f"{name}.json"
    try:
        done = subprocess.run(
            command, env=environment, timeout=timeout, capture_output=True, text=True, check=False
        )
        return done, json.loads(path.read_text("utf-8"))
    finally:
        path.unlink(missing_ok=True)


def test_without_a_gpu_nothing_passes():
    """Every check is "not run", with the reason; hardware, versions and date stand beside."""
    done, found = _check(timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    checks = {check["name"]: check for check in found["figures"]}
    assert set(checks) == {"bf16", "qlora", "flash_attention", "memory", "judge"}
    for check in checks.values():
        assert (check["status"], check["why"]) == ("not run", "torch sees no CUDA GPU")
    assert found["settings"]["hardware"]["gpus"] == []
    assert "transformers 5.10 to" in found["settings"]["written_for"]
    assert {"date", "machine", "versions"} <= found.keys()


def test_the_way_of_the_memory_check(tmp_path, monkeypatch):
    """At a tiny shape on this machine: full rows are trained, and the shape gives a forecast."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from gpu_check import trained_and_forecast

    sizes = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64, "vocab_size": 512,
    }  # fmt: skip
    parameters = 2 * 512 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
    assert trained_and_forecast(tmp_path, sizes) > 16 * parameters


@pytest.mark.slow
def test_the_way_of_the_judge():
    """At a tiny shape on this machine: checkpoint, kill, resume, merge, load, answer."""
    done, found = _check("judge", "--shape", "tiny", timeout=900)
    [check] = found["figures"]
    assert check["status"] == "passed", check["why"]
    assert done.returncode == 0
    assert 8 <= check["figures"]["killed_after_step"] < 20
