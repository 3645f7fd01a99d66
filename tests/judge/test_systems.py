"""Whole systems ranked by a judge and by people, against scipy on means taken by hand."""

import json
import random
from statistics import mean

import pytest
from scipy import stats

from distill.judge.passport import plain
from distill.judge.recorded import column_verdicts
from distill.judge.rows import read_judge_data
from distill.judge.systems import system_ranks
from distill.judge.verdicts import by_row

SYSTEMS = {"one": 1.5, "two": 2.5, "three": 3.0, "four": 4.0}


def measured(tmp_path, records, column="said", mapping=None):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    data = read_judge_data(path, mapping=mapping)
    judged = by_row(column_verdicts(path, data, column), data)
    return plain(system_ranks(data, data.rows, judged, 0))


def graded(name="model"):
    """Forty questions, answered by every system; the judge adds noise and takes 3 and 2 for one."""
    rng = random.Random(4)
    return [
        {"instruction": f"q{at}", "response": "r", name: system,
         "score": min(5, max(1, round(skill + rng.gauss(0, 1)))),
         "said": min(5, max(1, round(5.5 - skill + rng.gauss(0, 2))))}
        for at in range(40) for system, skill in SYSTEMS.items()
    ]  # fmt: skip


@pytest.mark.parametrize("mapping", [None, {"system": "meta.by"}])
def test_mean_scores_of_systems(tmp_path, mapping):
    """Spearman and Kendall over four means; failures of the judge leave the row out of both."""
    records = graded()
    for row in records[::7]:
        row["said"] = "no idea"
    kept = [row for row in records if row["said"] != "no idea"]
    judge, people = (
        [mean(row[key] for row in kept if row["model"] == system) for system in SYSTEMS]
        for key in ("said", "score")
    )
    if mapping:
        for row in records:
            row["meta"] = {"by": row.pop("model")}
    found = measured(tmp_path, records, mapping=mapping)
    assert (found["n"], found["by"], found["why"]) == (4, "mean_score", None)
    for name, measure in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
        figure = found[name]
        assert figure["value"] == pytest.approx(measure(judge, people).statistic)
        assert figure["n"] == 4
        assert figure["low"] <= figure["value"] <= figure["high"]
    lines = {line["system"]: line for line in found["table"]}
    assert [lines[name]["judge"] for name in SYSTEMS] == pytest.approx(judge)
    assert sum(line["n"] for line in found["table"]) == len(kept)


def test_win_rates_of_systems(tmp_path):
    """A tie is half a win for either; a pair of one system with itself says nothing of it."""
    pairs = [
        ("x", "y", "a", "a"),
        ("y", "z", "a", "tie"),
        ("z", "x", "b", "b"),
        ("x", "x", "a", "b"),
    ]
    records = [
        {"instruction": f"q{at}", "a": "1", "b": "2", "model_a": a, "model_b": b, "winner": gold,
         "said": said}
        for at, (a, b, gold, said) in enumerate(pairs)
    ]  # fmt: skip
    found = measured(tmp_path, records)
    assert found["by"] == "win_rate"
    assert found["table"] == [
        {"system": "x", "n": 2, "judge": 1.0, "people": 1.0},
        {"system": "y", "n": 2, "judge": 0.25, "people": 0.5},
        {"system": "z", "n": 2, "judge": 0.25, "people": 0.0},
    ]
    people, judge = [1, 0.5, 0], [1, 0.25, 0.25]
    assert found["spearman"]["value"] == pytest.approx(stats.spearmanr(people, judge).statistic)
    assert found["kendall"]["value"] == pytest.approx(stats.kendalltau(people, judge).statistic)


def test_too_few_systems_or_none_that_are_named(tmp_path):
    """Null and why; two systems still have their figures."""
    two = [row for row in graded() if row["model"] in ("one", "four")]
    found = measured(tmp_path, two)
    assert (found["n"], len(found["table"])) == (2, 2)
    assert found["spearman"] == {"value": None, "why": found["why"]}
    assert "a rank needs 3" in found["why"]
    prompts = [row | {"system": "You are a judge. " * 20} for row in graded("nobody")]
    found = measured(tmp_path, prompts)
    assert (found["n"], found["table"], found["kendall"]["value"]) == (0, [], None)
    assert "--map system=COL" in found["why"]
