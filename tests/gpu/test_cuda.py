"""What only a CUDA device can show; skipped, with the reason, where there is none."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_the_quickstart_runs_on_a_gpu(workdir):
    """Teacher and students train on the device; the student learns."""
    from distill import load_recipe, run

    short = ["evaluate.seeds=1", "evaluate.compare=[]", "train.lr=0.005", "train.steps=300"]
    report = run(load_recipe("quickstart", short))
    assert report["metrics"]["student"]["accuracy"]["value"] > 0.5
