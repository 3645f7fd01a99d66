"""TRL's SFT trainer takes the dataset folder as it is."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_trl.py"


@pytest.fixture(scope="module")
def trl_python(tmp_path_factory):
    """An interpreter that has TRL beside everything of ours."""
    folder = tmp_path_factory.mktemp("trl")
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    [packages] = folder.glob("lib/python3*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib"))
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "trl==1.16.0"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip("trl cannot be installed here")
    return python


@pytest.mark.slow
def test_trl_trains_on_the_folder(project, tmp_path, monkeypatch, trl_python):
    """Loaded by load_dataset, prepared by TRL with its chat template, two steps with a loss."""
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    project.write_project(tmp_path)
    assert project.command("generate", "recipe.yaml").code == 0
    dataset = tmp_path / "runs/tiny/dataset"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [trl_python, SCRIPT, dataset], cwd=tmp_path, env=environment, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    lines = [json.loads(line) for line in (dataset / "train.jsonl").read_text().splitlines()]
    assert found["rows"] == len(lines)
    asked, said = (turn["content"] for turn in lines[0]["messages"])
    assert found["prepared"] == f"<|user|>{asked}</s><|assistant|>{said}</s>"
