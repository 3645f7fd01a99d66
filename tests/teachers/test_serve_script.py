import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "serve_teacher.sh"


def run(folder, *args, **programs):
    """The script with these programs on its path, beside those of the system."""
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return subprocess.run(
        [SCRIPT, *args],
        env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "GPUS": "2"},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_without_vllm_it_says_what_to_type(tmp_path):
    """A missing program is exit 3 with the line to type."""
    said = run(tmp_path)
    assert said.returncode == 3
    assert "pip install vllm" in said.stderr


def test_the_server_is_started_for_token_probabilities(tmp_path):
    """Model and further options reach vLLM, with as many GPUs and alternatives as asked for."""
    said = run(tmp_path, "org/model", "--quantization", "fp8", vllm='echo "$@"')
    assert said.returncode == 0
    assert said.stdout.startswith("serve org/model --served-model-name org/model --host 127.0.0.1")
    assert "--tensor-parallel-size 2 " in said.stdout
    assert "--max-logprobs 128 " in said.stdout
    assert said.stdout.endswith("--quantization fp8\n")
