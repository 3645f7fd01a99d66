"""What a cache cost in fidelity."""

import math
from dataclasses import replace

import pytest

from distill.capture.audit import audit
from distill.capture.local import capture
from distill.errors import RecipeError
from distill.progress import silent
from distill.signals.settings import CaptureSettings

SETTINGS = CaptureSettings(k=16)


@pytest.mark.parametrize("codec", ["raw", "packed", "set"])
def test_figures_of_a_top_k_cache(tmp_path, teacher, tokenizer, make_rows, codec):
    """Covered mass, divergence, own text, re-score: all as small as the codec promises."""
    rows = make_rows(20)
    capture(rows, teacher, tokenizer, replace(SETTINGS, codec=codec), tmp_path, silent)
    found = audit(tmp_path, rows, teacher, sample_rows=6)
    assert (found["rows"], found["kept"]["mean"], found["contradicted"]) == (20, 16, 0)
    assert 0 < found["covered"]["p01"] <= found["covered"]["p50"] <= 1
    assert 0 <= found["kl_coarse"]["mean"] + 1e-6 <= found["kl"]["mean"] + 2e-6
    assert found["kl_coarse"]["mean"] < (1e-9 if codec == "raw" else 1e-4)
    rescore = found["rescore"]
    assert rescore["max_error"] < (1e-4 if codec == "raw" else 0.2)
    assert rescore["max_error_p"] < (1e-5 if codec == "raw" else 0.01)
    assert rescore["other_ids"] == 0
    loss = found["teacher_loss"]
    assert loss["rows"] < loss["uniform"]
    assert loss["own_text"] < loss["uniform"]


def test_the_cache_alone(tmp_path, teacher, tokenizer, make_rows):
    """Without rows and teacher the figures of the bytes are there, the others are null."""
    settings = CaptureSettings(kind="sampled", codec="sampled", draws=20)
    rows = make_rows(4)
    capture(rows, teacher, tokenizer, settings, tmp_path, silent)
    found = audit(tmp_path)
    assert (found["kl"], found["covered"], found["rescore"]) == (None, None, None)
    assert found["kept"]["max"] <= 20
    assert found["bytes_per_position"] > 0
    assert math.isfinite(found["teacher_loss"]["rows"])
    live = audit(tmp_path, rows, teacher)
    assert live["rescore"]["other_ids"] == 0
    assert live["contradicted"] == 0


def test_another_teacher_is_refused(tmp_path, teacher, make_teacher, tokenizer, make_rows):
    """Figures are only made with the teacher that the cache is of."""
    rows = make_rows(4)
    capture(rows, teacher, tokenizer, SETTINGS, tmp_path, silent)
    with pytest.raises(RecipeError) as caught:
        audit(tmp_path, rows, make_teacher(sharpness=0.3))
    assert caught.value.problems[0].key == "teacher_fingerprint"
