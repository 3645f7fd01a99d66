"""Recorded human verdicts: the figures of review-and-judges that anyone can recompute."""

import csv
import json
from collections import Counter
from operator import eq

import pytest

from distill.judge.lines import reference_lines
from distill.judge.passport import judge_passport
from distill.judge.recorded import column_verdicts, read_verdict_file
from distill.judge.rows import read_judge_data
from distill.judge.systems import writers_of


@pytest.mark.parametrize(
    ("file", "longer", "without_ties"),
    [
        ("pandalm/testset-v1.json", 0.610611, 0.670022),
        ("llmbar/Natural.json", 0.56, 0.56),
    ],
)
def test_longer_wins(real, file, longer, without_ties):
    """The line that a judge must beat, on two real sets whose columns are guessed."""
    judged = read_judge_data(real / "data" / file)
    lines = reference_lines(judged, [row for row in judged.rows if row.gold], None, 0)
    assert lines["longer"].value == pytest.approx(longer, abs=5e-7)
    assert lines["longer_no_ties"].value == pytest.approx(without_ties, abs=5e-7)


WORDS = {0: "Tie", 1: "A", 2: "[[B]]"}
CODES = {0: "0", 1: "1.0", 2: "2"}


def told_otherwise(row, name, said):
    """The row of PandaLM under other names and in other words."""
    found = {
        "uid": row["idx"],
        "Instruction": row["instruction"],
        f"{name}A": row["response1"],
        f"{name}B": row["response2"],
    }
    ratings = {f"Rater {n}": said[row[f"annotator{n}"]] for n in (1, 2, 3)}
    return {**found, **ratings, "Category": row["motivation_app"]}


@pytest.mark.parametrize(
    ("ending", "name", "said"),
    [("jsonl", "Response ", WORDS), ("json", "output_", CODES), ("csv", "answer-", WORDS)],
)
def test_other_names_and_words_give_the_same_lines(real, tmp_path, ending, name, said):
    """What a file is called, how its columns and winners are, changes no figure."""
    rows = json.loads((real / "data/pandalm/testset-v1.json").read_text("utf-8"))
    told = [told_otherwise(row, name, said) for row in rows]
    path = tmp_path / f"rows.{ending}"
    if ending == "csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(told[0]))
            writer.writeheader()
            writer.writerows(told)
    else:
        lines = "\n".join(map(json.dumps, told))
        path.write_text(lines if ending == "jsonl" else json.dumps(told), encoding="utf-8")
    judged = read_judge_data(path)
    lines = reference_lines(judged, [row for row in judged.rows if row.gold], None, 0)
    assert lines["longer"].value == pytest.approx(0.610611, abs=5e-7)
    assert lines["longer_no_ties"].value == pytest.approx(0.670022, abs=5e-7)
    assert [row.id for row in judged.rows] == [str(row["idx"]) for row in rows]


def test_two_annotators_as_the_orders_of_one_judge(real, tmp_path):
    """Both orders in one file, one as raw text that speaks of places, with gaps: by hand."""
    path = real / "data/pandalm/testset-v1.json"
    rows = json.loads(path.read_text("utf-8"))
    letters = {1: "B", 2: "A", 0: "C"}
    said = [{"id": row["idx"], "order": "ab", "winner": row["annotator1"]} for row in rows]
    said += [
        {"id": row["idx"], "order": "ba", "raw": f"So: [[{letters[row['annotator2']]}]]"}
        for row in rows
        if row["idx"] % 10
    ]
    file = tmp_path / "verdicts.jsonl"
    file.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    judged = read_judge_data(path, gold_columns=["annotator3"])
    found = judge_passport(judged, read_verdict_file(file, judged).verdicts).as_dict()
    first, second, gold = zip(
        *((r["annotator1"], r["annotator2"], r["annotator3"]) for r in rows if r["idx"] % 10),
        strict=True,
    )
    n = len(gold)
    assert found["consistency"]["value"] == pytest.approx(sum(map(eq, first, second)) / n, abs=5e-7)
    assert found["order_ba"]["value"] == pytest.approx(sum(map(eq, second, gold)) / n, abs=5e-7)
    assert found["both_right"]["value"] == pytest.approx(
        sum(a == b == c for a, b, c in zip(first, second, gold, strict=True)) / len(rows), abs=5e-7
    )
    assert found["errors"] == len(rows) - n
    flips = Counter((a, b) for a, b in zip(first, second, strict=True))
    assert found["position"]["first"] == flips[1, 2]
    assert found["position"]["second"] == flips[2, 1]


def test_one_annotator_as_the_judge(real):
    """An annotator replayed against the majority of the others has the kappa of people."""
    path = real / "data" / "pandalm" / "testset-v1.json"
    judged = read_judge_data(path, gold_columns=["annotator2", "annotator3"])
    found = judge_passport(judged, column_verdicts(path, judged, "annotator1")).as_dict()
    assert found["n"] + found["without_gold"] == len(json.loads(path.read_text()))
    assert 0.9 < found["kappa"]["value"] < 0.95


def test_systems_of_pandalm(real):
    """Its pairs name their systems; the table it published (arXiv:2306.05087, table of human
    verdicts) has llama against bloom at 72 wins, 28 losses and 11 ties, so the first half of the
    name wrote the first answer. One annotator ranks the five models as the other two do."""
    path = real / "data" / "pandalm" / "testset-v1.json"
    judged = read_judge_data(path)
    writers = writers_of(judged, judged.rows)
    of_pair = Counter(
        row.gold
        for row, names in zip(judged.rows, writers, strict=True)
        if names == ("bloom-7b", "llama-7b")
    )
    assert (of_pair["b"], of_pair["a"], of_pair["tie"]) == (72, 28, 11)
    others = read_judge_data(path, gold_columns=["annotator2", "annotator3"])
    found = judge_passport(others, column_verdicts(path, others, "annotator1")).as_dict()
    ranks = found["systems"]
    assert (ranks["n"], ranks["by"]) == (5, "win_rate")
    assert ranks["table"][0]["system"] == "llama-7b"
    assert sum(line["n"] for line in ranks["table"]) == 2 * found["n"]
    assert ranks["spearman"]["value"] >= 0.9
    assert found["reference_lines"]["random"]["value"] == pytest.approx(1 / 3)
    assert found["truncated"] is None
