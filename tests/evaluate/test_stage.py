"""From what systems answered to the report's metrics."""

import pytest

from distill.errors import RecipeError
from distill.evaluate.answers import Answered
from distill.evaluate.lm import RowFigures
from distill.evaluate.stage import Combined, SystemResult, combine, measure
from distill.recipe.task import (
    ClassifyTask,
    ExtractTask,
    GenerateTask,
    GroundedTask,
    JudgePairwiseTask,
)
from distill.report.model import check_report, empty_report

CLASSIFY = ClassifyTask(kind="classify", labels=["a", "b"])
GOLD = ["a", "b", "a", "b"]


def answered(*texts: str | None) -> list[Answered]:
    return [Answered(text, input_tokens=4, output_tokens=1) for text in texts]


def test_each_task_kind_has_its_metrics() -> None:
    """The metrics of CONTRACT section 4, by kind, with the running costs for all."""
    running = {"cost_per_1000", "rows_per_s", "tokens_per_row"}
    found = measure(CLASSIFY, SystemResult("student", answered("a", "b", "b", None)), GOLD)
    assert set(found) == {"accuracy", "macro_f1", "parsed", *running}
    extract = ExtractTask(kind="extract", schema={"type": "object"})
    found = measure(extract, SystemResult("student", answered("{}")), [{}])
    assert set(found) == {"valid", "exact", "field_f1", *running}
    grounded = GroundedTask(kind="grounded")
    row = {"question": "q", "passages": ["a b"]}
    found = measure(grounded, SystemResult("student", answered("a [1]")), ["a"], [row])
    cited = {"citation_precision", "citation_recall", "abstention", "faithful"}
    assert set(found) == {"exact", "token_f1", *cited, *running}
    tokens = [RowFigures(1.0, 0.5, 2)]
    result = SystemResult("student", answered("a b"), tokens, seconds=1.0)
    found = measure(GenerateTask(kind="generate"), result, ["a b"])
    assert set(found) == {"rouge_l", "loss", "kl_to_teacher", *running}


def test_token_figures_alone_are_enough() -> None:
    """A system that was not asked has only what its tokens tell."""
    result = SystemResult("student", None, [RowFigures(1.0, None, 2)])
    assert set(measure(GenerateTask(kind="generate"), result, ["a"])) == {"loss", "kl_to_teacher"}


def test_answers_and_gold_of_different_length_are_refused() -> None:
    """Rows that do not match are a fault, never silently cut."""
    with pytest.raises(ValueError, match="argument"):
        measure(CLASSIFY, SystemResult("student", answered("a")), GOLD)


def test_a_judge_without_a_passport_is_refused() -> None:
    """Verdicts alone are no figures: they are measured against people first."""
    with pytest.raises(RecipeError, match="passport"):
        measure(JudgePairwiseTask(kind="judge_pairwise"), SystemResult("s", answered("a")), ["a"])


def test_seeds_become_mean_and_sd_and_gold_leads() -> None:
    """Three seeds give one figure; gold is in metrics, val beside it; the report's shape fits."""
    runs = [
        measure(CLASSIFY, SystemResult("student", answered(*texts)), GOLD)
        for texts in (("a", "b", "a", "b"), ("a", "b", "a", "a"), ("a", "b", "b", "a"))
    ]
    teacher = measure(CLASSIFY, SystemResult("teacher", answered(*GOLD)), GOLD)
    found = combine({"val": {"student": runs[:1]}, "gold": {"student": runs, "teacher": [teacher]}})
    assert found.metrics is not None
    accuracy = found.metrics["student"]["accuracy"]
    assert accuracy["value"] == pytest.approx(0.75)
    assert accuracy["sd"] == pytest.approx(0.25)
    assert accuracy["seeds"] == 3
    assert accuracy["high"] <= 1
    assert "sd" not in found.metrics["teacher"]["accuracy"]
    assert found.metrics_on == "gold"
    assert set(found.metrics_by_set or {}) == {"val"}
    report = empty_report("x", "y")
    report |= {"metrics": found.metrics, "metrics_by_set": found.metrics_by_set}
    check_report(report)


def test_without_gold_val_leads() -> None:
    """Metrics fall back to val, and nothing measured is null."""
    run = measure(CLASSIFY, SystemResult("student", answered(*GOLD)), GOLD)
    assert combine({"val": {"student": [run]}}).metrics_on == "val"
    assert combine({"gold": {}, "val": {}}) == Combined(None, None, None)
