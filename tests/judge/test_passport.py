"""The passport: figures equal to scikit-learn and scipy, failures counted, orders kept apart."""

import json
import random

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from distill.errors import DataError
from distill.judge.confusion import kappa, macro_f1, table
from distill.judge.passport import judge_passport
from distill.judge.recorded import column_verdicts, read_verdict_file
from distill.judge.rows import read_judge_data
from distill.judge.verdicts import Verdict

WINNERS = ("a", "b", "tie")


def pairs(tmp_path, gold, **more):
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps({"id": str(at), "instruction": f"q{at}", "a": "x" * 3, "b": "y", "winner": one}
                   | {name: values[at] for name, values in more.items()})
        for at, one in enumerate(gold)
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_counts_give_what_scikit_learn_gives(classes):
    """Macro F1 and the three kappas of random labels are those of scikit-learn."""
    rng = np.random.default_rng(classes)
    gold, found = rng.integers(0, classes, 200), rng.integers(0, classes, 200)
    counts = table(gold, found, classes)
    assert macro_f1(counts) == pytest.approx(f1_score(gold, found, average="macro"))
    for weights in (None, "linear", "quadratic"):
        want = cohen_kappa_score(gold, found, weights=weights, labels=range(classes))
        assert kappa(counts, weights) == pytest.approx(want)


def test_both_orders_of_one_judge(tmp_path):
    """Order figures, consistency and the binomial test on flips follow from the verdicts."""
    gold = ["a", "a", "b", "b", "tie", "a"]
    ab = ["a", "a", "a", "b", "a", None]
    ba = ["a", "b", "b", "b", "tie", "a"]
    data = read_judge_data(pairs(tmp_path, gold))
    said = [Verdict(str(i), v, "ab") for i, v in enumerate(ab)]
    said += [Verdict(str(i), v, "ba") for i, v in enumerate(ba)]
    random.Random(0).shuffle(said)
    found = judge_passport(data, said).as_dict()
    assert found["n"] == 6
    assert found["errors"] == 1
    assert found["parsed"]["value"] == pytest.approx(5 / 6)
    # Row 1 and 2 flip and become ties; row 4 disagrees between a and tie.
    assert found["accuracy"]["value"] == pytest.approx(3 / 5)
    assert found["accuracy_failures_wrong"]["value"] == pytest.approx(3 / 6)
    assert found["order_ab"]["value"] == pytest.approx(3 / 5)
    assert found["order_ba"]["value"] == pytest.approx(5 / 6)
    assert found["both_right"]["value"] == pytest.approx(2 / 6)
    assert found["consistency"]["value"] == pytest.approx(2 / 5)
    # Row 1: a in the order ab, b in ba: the first answer both times. Row 2 likewise.
    assert {k: found["position"][k] for k in ("first", "second", "flips")} == {
        "first": 2, "second": 0, "flips": 3,
    }  # fmt: skip
    assert found["position"]["p"] == pytest.approx(stats.binomtest(2, 2).pvalue)
    assert found["absolute"] is None


def test_one_order_has_no_consistency(tmp_path):
    """What cannot be told says why; the gold itself as verdicts is right everywhere."""
    gold = ["a", "b", "tie", "a"]
    path = pairs(tmp_path, gold, said=gold)
    data = read_judge_data(path)
    found = judge_passport(data, column_verdicts(path, data, "said")).as_dict()
    assert found["accuracy"]["value"] == found["kappa"]["value"] == 1
    assert found["both_right"]["why"] == found["position"]["why"]
    assert found["consistency"]["value"] is None
    assert found["worst"] == []


def test_figures_of_labels_are_those_of_scikit_learn(tmp_path):
    """Accuracy, macro F1 and kappa over the rows that could be read."""
    rng = random.Random(3)
    gold = [rng.choice(WINNERS) for _ in range(120)]
    said = [g if rng.random() < 0.6 else rng.choice((*WINNERS, None)) for g in gold]
    data = read_judge_data(pairs(tmp_path, gold))
    found = judge_passport(data, [Verdict(str(i), v) for i, v in enumerate(said)]).as_dict()
    kept = [(g, s) for g, s in zip(gold, said, strict=True) if s is not None]
    truth, guess = zip(*kept, strict=True)
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(truth, guess))
    assert found["macro_f1"]["value"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found["kappa"]["value"] == pytest.approx(cohen_kappa_score(truth, guess))
    assert found["kappa"]["low"] < found["kappa"]["value"] < found["kappa"]["high"]
    assert found["errors"] == said.count(None)
    assert len(found["worst"]) == 10


def test_scores(tmp_path):
    """Correlations are scipy's, weighted kappas scikit-learn's over the whole scale."""
    rng = random.Random(5)
    gold = [rng.choice([1, 2, 4, 5]) for _ in range(90)]
    said = [min(5, max(1, g + rng.choice([-1, 0, 0, 1]))) for g in gold]
    path = tmp_path / "scores.jsonl"
    rows = [{"id": i, "instruction": "q", "response": "r", "score": g, "judge": s}
            for i, (g, s) in enumerate(zip(gold, said, strict=True))]  # fmt: skip
    rows[0]["judge"], rows[1]["judge"] = "none of them", None
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    data = read_judge_data(path)
    found = judge_passport(data, column_verdicts(path, data, "judge")).as_dict()
    mine, theirs = np.asarray(gold[2:]), np.asarray(said[2:])
    scores = found["absolute"]
    assert found["errors"] == 2
    assert scores["pearson"]["value"] == pytest.approx(stats.pearsonr(mine, theirs).statistic)
    assert scores["spearman"]["value"] == pytest.approx(stats.spearmanr(mine, theirs).statistic)
    assert scores["kendall"]["value"] == pytest.approx(stats.kendalltau(mine, theirs).statistic)
    for weights in ("linear", "quadratic"):
        want = cohen_kappa_score(mine, theirs, weights=weights, labels=range(1, 6))
        assert scores[f"kappa_{weights}"]["value"] == pytest.approx(want)
    assert scores["mae"]["value"] == pytest.approx(np.abs(mine - theirs).mean())
    assert scores["within_1"]["value"] == 1
    assert found["accuracy"]["value"] == pytest.approx((mine == theirs).mean())
    assert found["order_ab"]["why"] == "the rows are not pairs"


def test_a_constant_judge_has_no_correlation(tmp_path):
    """A judge that gives every row a 3 has undefined correlations, said and not invented."""
    path = tmp_path / "scores.jsonl"
    rows = [{"id": i, "response": "r", "score": i % 5, "judge": 3} for i in range(20)]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    data = read_judge_data(path)
    scores = judge_passport(data, column_verdicts(path, data, "judge")).as_dict()["absolute"]
    assert scores["pearson"]["value"] is None
    assert scores["kappa_linear"]["value"] == 0
    assert scores["histogram"] == {"3": 20}


def test_probabilities_give_a_calibration(tmp_path):
    """Confidence p of every verdict: ECE, Brier and whom to hand off."""
    gold = ["a", "b"] * 50
    said = ["a", "b"] * 40 + ["b", "a"] * 10
    data = read_judge_data(pairs(tmp_path, gold))
    verdicts = [Verdict(str(i), v, p=0.9 if i < 80 else 0.6) for i, v in enumerate(said)]
    found = judge_passport(data, verdicts).as_dict()["calibration"]
    assert found["ece"]["value"] == pytest.approx(0.8 * 0.1 + 0.2 * 0.6)
    assert found["brier"]["value"] == pytest.approx(0.8 * 0.01 + 0.2 * 0.36)
    assert found["selective"][0] == {"share": 1.0, "above": 0.6, "accuracy": 0.8}
    assert found["selective"][2]["accuracy"] == 1


def test_without_verdicts_only_the_reference_lines_are_given(tmp_path):
    """Longer wins and the majority need no judge; everything else says that there is none."""
    data = read_judge_data(pairs(tmp_path, ["a", "a", "b", "tie"]))
    found = judge_passport(data, None).as_dict()
    assert found["accuracy"] == {"value": None, "why": "no judge and no verdicts were given"}
    assert found["reference_lines"]["majority"]["value"] == 0.5
    assert found["reference_lines"]["longer"]["value"] == 0.5
    assert found["reference_lines"]["longer_no_ties"]["value"] == pytest.approx(2 / 3)


def test_a_verdict_file_is_read_strictly(tmp_path):
    """Both orders, failures as null; unknown rows and words are named with their lines."""
    data = read_judge_data(pairs(tmp_path, ["a", "b"]))
    path = tmp_path / "verdicts.jsonl"
    good = [{"id": 0, "order": "ba", "winner": None}, {"id": "1", "winner": "tie", "raw": "..."}]
    path.write_text("\n".join(map(json.dumps, good)), encoding="utf-8")
    assert read_verdict_file(path, data).verdicts == [
        Verdict("0", None, "ba"), Verdict("1", "tie", "ab", raw="..."),
    ]  # fmt: skip
    bad = [{"id": 7, "winner": "a"}, {"id": 1, "winner": "both of them"}, {"id": 1, "order": "a"}]
    path.write_text("\n".join(map(json.dumps, bad)), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_verdict_file(path, data)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]
