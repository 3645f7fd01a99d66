"""Figures from answers and gold."""

import random

import pytest
from sklearn.metrics import f1_score

from distill.errors import DataError
from distill.evaluate.answers import Answered
from distill.evaluate.lm import RowFigures
from distill.evaluate.metrics import (
    Price,
    classify_figures,
    extract_figures,
    field_f1,
    generate_figures,
    macro_f1,
    majority_answers,
    rouge_l,
    running_figures,
    token_means,
)

LABELS = ["a", "b", "c"]


def test_unparsed_is_wrong_and_never_left_out() -> None:
    """A system that answers half the rows rightly and the rest not at all has accuracy 0.5."""
    found = classify_figures(["a", "b", None, None], ["a", "b", "a", "b"], LABELS)
    assert found["accuracy"].value == 0.5
    assert found["parsed"].value == 0.5
    assert found["accuracy"].n == 4
    nothing = classify_figures([None] * 4, ["a", "b", "a", "b"], LABELS)
    assert nothing["accuracy"].value == 0
    assert nothing["macro_f1"].value == 0


def test_macro_f1_is_that_of_scikit_learn() -> None:
    """Over random answers, with labels that do not occur in gold, and with missing answers."""
    rng = random.Random(3)
    for _ in range(20):
        truth = [rng.choice([0, 1, 2]) for _ in range(30)]
        answers = [rng.choice([-1, 0, 1, 2, 3]) for _ in range(30)]
        theirs = f1_score(truth, answers, labels=sorted(set(truth)), average="macro")
        assert macro_f1(list(zip(truth, answers, strict=True))) == pytest.approx(theirs)


def test_intervals_hold_the_value_and_repeat() -> None:
    """The bootstrap is seeded: the same answers give the same interval, around the value."""
    rng = random.Random(5)
    gold = [rng.choice(LABELS) for _ in range(120)]
    answers = [g if rng.random() < 0.7 else rng.choice(LABELS) for g in gold]
    first, second = (classify_figures(answers, gold, LABELS) for _ in range(2))
    assert first == second
    for name in ("accuracy", "macro_f1"):
        figure = first[name]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.value is not None
        assert figure.low < figure.value < figure.high


def test_a_gold_label_outside_the_labels_is_an_error() -> None:
    """It can never be answered rightly, so nothing is measured with it."""
    with pytest.raises(DataError, match=r"task\.labels"):
        classify_figures(["a"], ["z"], LABELS)


def test_objects_are_compared_as_json() -> None:
    """Key order and spaces do not matter, text around the object does, gold may be text."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answers = ['{"n": 1, "s": "x"}', '{"n": "1"}', 'Sure: {"n": 1}', None, '{"n": NaN}']
    found = extract_figures(
        answers, ['{"s":"x","n":1}', {"n": 1}, {"n": 1}, {"n": 1}, {"n": 1}], schema
    )
    assert found["valid"].value == pytest.approx(0.2)
    assert found["exact"].value == pytest.approx(0.2)
    assert found["field_f1"].value == pytest.approx(0.2)


def test_field_f1_counts_leaves() -> None:
    """Half-right objects get partial credit; list order is free; empty equals empty."""
    assert field_f1({"a": 1, "b": 2}, {"a": 1, "b": 3}) == pytest.approx(0.5)
    assert field_f1({"a": [1, 2, 2]}, {"a": [2, 1, 2]}) == 1.0
    assert field_f1({"a": [1]}, {"a": [1, 2]}) == pytest.approx(2 / 3)
    assert field_f1({}, {}) == 1.0
    assert field_f1({}, {"a": 1}) == 0.0


def test_rouge_l_by_hand() -> None:
    """LCS of words over both lengths, as an F-measure, case and punctuation aside."""
    assert rouge_l("The cat sat.", "the cat sat") == 1.0
    assert rouge_l("the cat on the mat", "the mat the cat") == pytest.approx(2 * 2 / 9)
    assert rouge_l("", "words") == 0.0
    assert rouge_l("", "") == 1.0
    assert generate_figures(["a b", None], ["a b", "a b"])["rouge_l"].value == pytest.approx(0.5)


def test_token_means_weigh_tokens_not_rows() -> None:
    """A long row counts by its tokens; rows without supervised tokens count nothing."""
    rows = [RowFigures(2.0, 1.0, 2), RowFigures(4.0, 0.0, 8), RowFigures(0.0, 0.0, 0)]
    found = token_means(rows)
    assert found["loss"].value == pytest.approx(0.6)
    assert found["kl_to_teacher"].value == pytest.approx(0.1)
    assert found["loss"].n == 2


def test_kl_without_a_shared_vocabulary_says_why() -> None:
    """No number where there is none."""
    found = token_means([RowFigures(2.0, None, 2)])
    assert found["kl_to_teacher"].value is None
    assert "vocabulary" in str(found["kl_to_teacher"].why)


def test_cost_follows_from_tokens_not_from_the_store() -> None:
    """With a price a stored answer costs what it would have cost; without one it tells nothing."""
    paid = Answered("x", input_tokens=100, output_tokens=10, cost_usd=0.002)
    free = Answered("x", input_tokens=100, output_tokens=10, cost_usd=0.0, stored=True)
    price = Price(input=10.0, output=100.0)
    assert running_figures([free, free], 1.0, price)["cost_per_1000"].value == pytest.approx(2.0)
    assert running_figures([paid, free], 1.0, None)["cost_per_1000"].value == pytest.approx(2.0)
    assert running_figures([free], 1.0, None)["cost_per_1000"].value is None
    hourly = running_figures([paid] * 4, 3.6, Price(gpu_hour=2.0))
    assert hourly["cost_per_1000"].value == pytest.approx(0.5)


def test_speed_counts_fresh_answers_only() -> None:
    """Stored answers are not speed, and failed ones have no tokens."""
    fresh = Answered("x", input_tokens=9, output_tokens=1)
    stored = Answered("x", input_tokens=9, output_tokens=1, stored=True)
    failed = Answered(None, failed="server")
    found = running_figures([fresh, stored, failed], 2.0, None)
    assert found["rows_per_s"].value == pytest.approx(1.0)
    assert found["tokens_per_row"].value == pytest.approx(10)
    assert running_figures([stored], 2.0, None)["rows_per_s"].value is None
    assert running_figures([fresh], None, None)["rows_per_s"].why == "not timed"


def test_majority_is_the_commonest_training_label() -> None:
    """One label for every row, the first in order among equals."""
    assert [a.text for a in majority_answers(["b", "a", "b"], 2)] == ["b", "b"]
    assert majority_answers(["b", "a"], 1)[0].text == "a"
    with pytest.raises(DataError):
        majority_answers([], 1)
