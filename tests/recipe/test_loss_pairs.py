"""`check` refuses a loss that its signal cannot give, with the reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.recipe.check import CheckReport, check
from distill.recipe.load import load_recipe

Write = Callable[..., Path]
SPLIT = "split: {train: 0.8, val: 0.2}\n"


def report(write: Write, train: str) -> CheckReport:
    student = "student: {init: scratch, config: {model_type: llama}, tokenizer: loc}\n"
    path = write(
        ("big: {kind: scripted}", "big: {kind: scripted}\n  loc: {kind: local, model: a/b}"),
        (SPLIT, f"{SPLIT}{student}train: {{steps: 2, {train}}}\n"),
    )
    return check(load_recipe(path), {}, lambda path: [])


def problems(write: Write, train: str, key: str) -> list[str]:
    return [one.found for one in report(write, train).problems if one.key == key]


@pytest.mark.parametrize(
    ("loss", "signal", "why"),
    [
        ("{kind: reverse_kl}", "topk", "could move its mass there unpunished"),
        ("{kind: jsd}", "topk", "could move its mass there unpunished"),
        ("{kind: skew_reverse_kl}", "topk", "could move its mass there unpunished"),
        ("{kind: tvd}", "sampled", "unbiased gradient for forward KL only"),
        ("{kind: forward_kl}", "token", "one log-probability per position is no distribution"),
        ("{temperature: 2}", "sampled", "the draws were made at temperature 1"),
        ("{kind: sampled_reverse_kl}", "dense", "reverse_kl is exact"),
        ("{kind: sampled_reverse_kl}", "text", "which only the signal token holds"),
    ],
)
def test_unsound_pairs(write: Write, loss: str, signal: str, why: str) -> None:
    """The reason stands in the problem, and the key is that of the loss."""
    [found] = problems(write, f"loss: {loss}, signal: {{kind: {signal}}}", "train.loss")
    assert why in found


@pytest.mark.parametrize("loss", ["skew_kl", "skew_reverse_kl", "tvd", "adaptive_kl"])
def test_sound_pairs(write: Write, loss: str) -> None:
    """Every divergence goes with a dense signal."""
    train = f"loss: {{kind: {loss}}}, signal: {{kind: dense, from: loc}}"
    assert [one for one in report(write, train).problems if one.key.startswith("train")] == []


def test_written_tokens_must_be_the_students(write: Write) -> None:
    """The estimate holds on the student's own texts only."""
    train = "loss: {kind: sampled_reverse_kl}, signal: {kind: token}"
    [found] = problems(write, train, "train.on_policy")
    assert "tokens that the student writes" in found
    assert problems(write, f"{train}, on_policy: 0.5", "train.loss") == []


def test_a_jsd_that_trains_on_nothing_is_noted(write: Write) -> None:
    """Near its ends the published form shrinks to almost nothing."""
    notes = report(write, "loss: {kind: jsd, beta: 0.02}, signal: {kind: dense}").notes
    assert any("normalised: true" in note for note in notes)


JUDGE = "kind: judge_absolute, input: text, output: score, scale: {min: 1, max: 3}"


@pytest.mark.parametrize(
    ("task", "train", "key", "why"),
    [
        ("kind: generate", "{kind: verdict}", "train.loss.kind", "no closed list of answers"),
        (None, "{kind: verdict, form: cdf}", "train.loss.form", "labels have no order"),
        (None, "{kind: verdict, temperature: 2}", "train.loss", "at temperature 1"),
        (None, "{kind: verdict}, objective: clm", "train.loss", "clm has no verdicts"),
        (
            None,
            "{kind: verdict}, signal: {kind: dense, from: loc}, on_policy: 0.5",
            "train.on_policy",
            "behind the feedback of its row",
        ),
        (
            "kind: classify, input: text, output: label, labels: [billing, bug], "
            "completion: '{{ label }}, I think'",
            "{kind: verdict}",
            "task.completion",
            "the last thing that is written",
        ),
    ],
)
def test_verdicts_that_cannot_be_scored(write: Write, task, train, key, why) -> None:
    """No scale, no order, another temperature or objective, own feedback, words behind it."""
    old = "kind: classify, input: text, output: label, labels: [billing, bug]"
    student = "student: {init: scratch, config: {model_type: llama}, tokenizer: loc}\n"
    path = write(
        (old, task or old),
        ("big: {kind: scripted}", "big: {kind: scripted}\n  loc: {kind: local, model: a/b}"),
        (SPLIT, f"{SPLIT}{student}train: {{steps: 2, loss: {train}}}\n"),
    )
    found = check(load_recipe(path), {}, lambda path: []).problems
    assert [one.found for one in found if one.key == key and why in one.found], found


def test_a_verdict_without_probabilities_says_what_its_target_is(write: Write) -> None:
    """The fields whose votes count."""
    found = report(write, "loss: {kind: verdict}")
    assert [one for one in found.problems if one.key and one.key.startswith("train")] == []
    assert any("votes or label log-probabilities of label" in note for note in found.notes)


@pytest.mark.parametrize(
    ("train", "why"),
    [
        ("hidden: {weight: 1}", "the signal text has none"),
        ("hidden: {}, signal: {kind: topk, from: loc}", "the signal topk has none"),
        ("hidden: {}, objective: clm", "no teacher whose states"),
        ("hidden: {}, signal: {kind: dense, from: loc}, loss: {kind: verdict}", "and released"),
    ],
)
def test_hidden_states_need_a_live_teacher(write: Write, train: str, why: str) -> None:
    """Each reason at its key; beside a dense signal nothing is wrong."""
    [found] = problems(write, train, "train.hidden")
    assert why in found
    assert problems(write, "hidden: {}, signal: {kind: dense, from: loc}", "train.hidden") == []
