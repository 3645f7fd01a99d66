"""Verdicts recorded by other projects: their files as they lie, against a count by hand."""

import csv
import json

import pytest

from distill.errors import DataError
from distill.judge.passport import judge_passport
from distill.judge.recorded import inner_verdicts, read_verdict_file
from distill.judge.rows import read_judge_data
from distill.judge.verdicts import by_row


def write(path, records):
    """The records in the format of the path's ending."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(records), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(records[0]))
            writer.writeheader()
            for record in records:
                plain = {
                    name: json.dumps(value) if isinstance(value, list | dict) else value
                    for name, value in record.items()
                }
                writer.writerow(plain)
    return path


def said(found, data):
    """Row id -> its verdicts by order."""
    return {
        name: tuple(judged.value(order) for order in judged.by_order)
        for name, judged in by_row(found.verdicts, data).items()
    }


def judge_bench(decisions):
    """A row of JudgeBench (arXiv:2410.12784): the second judgment speaks of swapped places."""
    return {
        "pair_id": f"p-{decisions}", "question": "q", "response_A": "x", "response_B": "y",
        "label": "A>B", "judgments": [
            None if one is None else {"judgment": {"response": "..."}, "decision": one}
            for one in decisions
        ],
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_judgments_inside_the_rows(tmp_path, ending):
    """A path names what lies in a list of objects, also where a CSV holds it as text."""
    decisions = [("A>B", "B>A"), ("A>B", "A>B"), ("A=B", "A=B"), ("A>B", None), (None, "B>A")]
    path = write(tmp_path / f"rows.{ending}", [judge_bench(both) for both in decisions])
    data = read_judge_data(path)
    mapping = {"verdict": "judgments.0.decision", "raw_ba": "judgments.-1.decision"}
    found = inner_verdicts(path, data, mapping)
    expected = [("a", "a"), ("a", "b"), ("tie", "tie"), ("a", None), (None, "a")]
    assert list(said(found, data).values()) == expected
    assert found.notes == []


def test_content_and_places_in_the_other_order(tmp_path):
    """LLMBar maps its swapped winner back; a path may hold spaces and an equals sign."""
    results = {"swap = False": {"winner": "1"}, "swap = True": {"winner": "2"}}
    row = {"input": "q", "output_1": "x", "output_2": "y", "label": 1, "results": [results]}
    path = write(tmp_path / "result.json", [row])
    data = read_judge_data(path)
    first = "results.-1.swap = False.winner"
    content = {"verdict": first, "verdict_ba": "results.-1.swap = True.winner"}
    assert said(inner_verdicts(path, data, content), data) == {"0": ("a", "b")}
    places = {"verdict": first, "raw_ba": "results.-1.swap = True.winner"}
    assert said(inner_verdicts(path, data, places), data) == {"0": ("a", "a")}


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_objects_are_no_verdicts(tmp_path, ending):
    """A list of objects is refused with the path to what lies inside; a wrong path too."""
    path = write(tmp_path / f"rows.{ending}", [judge_bench(("A>B", "B>A"))])
    data = read_judge_data(path)
    with pytest.raises(DataError) as caught:
        inner_verdicts(path, data, {"verdict": "judgments"})
    assert "verdict=judgments.0.decision" in caught.value.problems[0].fix
    with pytest.raises(DataError) as caught:
        inner_verdicts(path, data, {"verdict": "judgments.0.winner"})
    assert caught.value.problems[0].found == "there is no column 'judgments.0.winner'"
    assert caught.value.problems[0].allowed == "judgments.0.decision"


PANDA = [
    {"idx": at, "instruction": "q", "response1": "x", "response2": "y", "annotator1": 1}
    for at in range(3)
]


def test_a_file_of_results_is_read_as_it_lies(tmp_path):
    """PandaLM names its rows idx and its verdicts pandalm_result; garbage is a failure."""
    data = read_judge_data(write(tmp_path / "testset.json", PANDA))
    results = [
        {"idx": 2, "pandalm_result": "garbage", "pandalm_reason": "r"},
        {"idx": 0, "pandalm_result": 2, "pandalm_reason": "r"},
        {"idx": 1, "pandalm_result": "Tie", "pandalm_reason": "r"},
    ]
    found = read_verdict_file(write(tmp_path / "pandalm.json", results), data)
    assert said(found, data) == {"0": ("b",), "1": ("tie",), "2": (None,)}
    assert found.notes == [
        "1 of 3 cells of pandalm_result name no verdict and count as failures, such as 'garbage'"
    ]


def test_a_second_verdict_of_a_pair_is_told(tmp_path):
    """The first one of a row and order counts, and it is said that there were more."""
    data = read_judge_data(write(tmp_path / "testset.json", PANDA))
    said = [("0", "ab", "a"), ("0", "ab", "b"), ("0", "ba", "b"), ("1", "ab", "tie")]
    lines = [{"id": own, "order": order, "winner": winner} for own, order, winner in said]
    found = read_verdict_file(write(tmp_path / "verdicts.jsonl", lines), data)
    assert by_row(found.verdicts, data)["0"].value("ab") == "a"
    assert found.notes == [
        "verdicts of a row and order that had one already: 1; the first one counts"
    ]


@pytest.mark.parametrize("named", ["a", "b", "system_a", "system_b"])
def test_half_a_pair_of_columns_is_refused(tmp_path, named):
    """What --map names for one answer it names for both."""
    path = write(tmp_path / "rows.json", [{"q": "x", "one": "y", "two": "z", "winner": 1}])
    pair = {} if named in "ab" else {"a": "one", "b": "two"}
    with pytest.raises(DataError, match=f"--map names {named} and no "):
        read_judge_data(path, mapping={"response": "two", named: "one"} | pair)


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        ({"a": "x", "b": "y", "winner": "a", "who": "m"}, {"system": "who"}),
        ({"response": "x", "score": 3, "who": "m"}, {"system_a": "who", "system_b": "who"}),
    ],
)
def test_systems_of_another_number_of_answers_are_refused(tmp_path, row, mapping):
    """One writer for a pair, or two for one answer, is a slip and not passed over."""
    path = write(tmp_path / "rows.json", [row])
    with pytest.raises(DataError, match=r"--map names system.* Name system"):
        read_judge_data(path, mapping=mapping)


def test_verdicts_without_ids_are_taken_in_row_order(tmp_path):
    """Auto-J's two files: one number a line, counted from 0; the second of swapped places."""
    rows = [
        {"prompt": "q", "response 1": "x", "response 2": "y", "label": 0, "scenario": "s"}
        for _ in range(3)
    ]
    data = read_judge_data(write(tmp_path / "test.jsonl", rows))
    first = write(tmp_path / "ab.jsonl", [{"output": one} for one in (0, 1, 2)])
    second = write(tmp_path / "ba.jsonl", [{"output": one} for one in (1, 1, 2)])
    found = read_verdict_file(first, data)
    assert "in row order" in found.notes[0]
    other = read_verdict_file(second, data, {"raw": "output"}, order="ba")
    found.verdicts.extend(other.verdicts)
    assert said(found, data) == {"0": ("a", "a"), "1": ("b", "a"), "2": ("tie", "tie")}
    with pytest.raises(DataError, match="which answer"):
        read_verdict_file(second, data, order="ba")
    short = write(tmp_path / "short.jsonl", [{"output": 1}])
    with pytest.raises(DataError, match="1 verdicts for 3 rows"):
        read_verdict_file(short, data)


@pytest.mark.parametrize(
    ("record", "mapping"),
    [
        ({"question_id": "r1", "decision": "[[B]]"}, {"verdict_id": "question_id"}),
        ({"meta": {"row": "r1"}, "judge": {"says": "Output (b)"}},
         {"verdict_id": "meta.row", "verdict": "judge.says"}),
        ({"id": "r1", "first": 0.2, "second": 0.7}, {"score_a": "first", "score_b": "second"}),
        ({"id": "r1", "asked": "BA", "text": "so.\nWinner: A"}, {"raw": "text", "order": "asked"}),
        ({"id": "r1", "judgment": "Therefore, Response 2 is better."}, {}),
        ({"id": "r1", "text": "4 7\nThe second is deeper."}, {"verdict": "text"}),
    ],
)  # fmt: skip
def test_columns_of_a_verdict_file_can_be_named(tmp_path, record, mapping):
    """Id, verdict, order and the scores of both answers, whatever they are called."""
    rows = [{"id": "r1", "a": "x", "b": "y", "winner": "b"}]
    data = read_judge_data(write(tmp_path / "rows.jsonl", rows))
    found = read_verdict_file(write(tmp_path / "said.jsonl", [record]), data, mapping)
    assert [one.value for one in found.verdicts] == ["b"]


@pytest.mark.parametrize("mapping", [{"score_a": "first"}, {"p": "first"}])
def test_half_of_a_verdict_is_refused(tmp_path, mapping):
    """One score of two, or a confidence alone, is no verdict."""
    path = write(tmp_path / "rows.jsonl", [{"a": "x", "b": "y", "winner": "b", "first": 0.3}])
    data = read_judge_data(path)
    with pytest.raises(DataError, match="--map names"):
        inner_verdicts(path, data, mapping)


def test_right_and_wrong_of_a_reward_model(tmp_path):
    """RewardBench: results are 1 right, 0 wrong, 0.5 a tie about the chosen answer."""
    rows = [
        {"id": at, "prompt": "q", "text_chosen": "x", "text_rejected": "y", "results": one}
        for at, one in enumerate([1, 0, 0.5, 1.0])
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    data = read_judge_data(path)
    assert [row.gold for row in data.rows] == ["a"] * 4
    found = inner_verdicts(path, data, {"verdict": "results"})
    assert [one.value for one in found.verdicts] == ["a", "b", "tie", "a"]
    assert found.notes == ["results is read as 1 right, 0 wrong, 0.5 a tie"]
    figures = judge_passport(data, found.verdicts).as_dict()
    assert figures["accuracy"]["value"] == 0.5


def test_scores_of_prometheus_in_many_forms(tmp_path):
    """Numbers as text, whole answers, several runs: each is a reading; a failure is none."""
    rows = [
        {"orig_instruction": "q", "orig_response": "r", "orig_score": "4", "n": at,
         "prometheus_output": text, "prometheus_scores": runs}
        for at, (text, runs) in enumerate([
            ("Fine. [RESULT] 4", [4, 5, 4]), ("Fine. Score: 3/5", ["3", None]), ("cut off", []),
        ])
    ]  # fmt: skip
    path = write(tmp_path / "rows.jsonl", rows)
    data = read_judge_data(path)
    found = inner_verdicts(path, data, {"verdict": "prometheus_output"})
    assert [one.value for one in found.verdicts] == [4, None, None]
    runs = by_row(inner_verdicts(path, data, {"verdict": "prometheus_scores"}).verdicts, data)
    values = [[one.value for one in judged.by_order["ab"]] for judged in runs.values()]
    assert values == [[4, 5, 4], [3, None], []]


def test_winners_may_be_named_by_who_wrote_them(tmp_path):
    """A model's own name is its answer, in gold and in verdicts; one-hot columns are a winner."""
    rows = [
        {"question_id": 1, "model_a": "m", "model_b": "n", "winner": "n", "said": "m",
         "conversation_a": [{"role": "user", "content": "q"}, {"role": "assistant"}],
         "conversation_b": []},
    ]  # fmt: skip
    path = write(tmp_path / "rows.jsonl", rows)
    data = read_judge_data(path)
    assert (data.rows[0].gold, data.rows[0].instruction) == ("b", "q")
    found = inner_verdicts(path, data, {"verdict": "said"})
    assert [one.value for one in found.verdicts] == ["a"]
    hot = {"id": 7, "prompt": "q", "response_a": "x", "response_b": "y",
           "winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1}  # fmt: skip
    assert read_judge_data(write(tmp_path / "hot.csv", [hot])).rows[0].gold == "tie"


def test_words_of_a_files_own(tmp_path):
    """--labels says what they mean: SHP has 1 for the first answer and 0 for the second."""
    rows = [{"history": "q", "a": "x", "b": "y", "labels": one} for one in (1, 0)]
    path = write(tmp_path / "rows.jsonl", rows)
    data = read_judge_data(
        path, mapping={"winner": "labels"}, labels={"1": "a", "0": "b"}, slices=["history"]
    )
    assert [row.gold for row in data.rows] == ["a", "b"]
    assert data.notes == ()
    with pytest.raises(DataError, match="means 'first'"):
        read_judge_data(path, mapping={"winner": "labels"}, labels={"1": "first"})


def test_several_people_in_one_cell(tmp_path):
    """A list of words is one person's word each, so that people can be compared with people."""
    rows = [{"a": "x", "b": "y", "annotations": ["a", "b", "a"], "meta": {"slice": "s"}}]
    path = write(tmp_path / "rows.jsonl", rows)
    (row,) = read_judge_data(path, gold_columns=["annotations"]).rows
    assert (row.gold, list(row.ratings.values())) == ("a", ["a", "b", "a"])
    assert row.slices == {"slice": "s"}


def test_people_as_objects_and_as_lines(tmp_path):
    """A star gathers what each said; lines of one pair are one row, another turn another row."""
    people = [{"who": who, "label": label} for who, label in (("p", 1), ("q", 2), ("r", 2))]
    rows = [{"a": "x", "b": "y", "annotations": people}]
    path = write(tmp_path / "rows.jsonl", rows)
    (row,) = read_judge_data(path, gold_columns=["annotations.*.label"]).rows
    assert (row.gold, list(row.ratings.values())) == ("b", ["a", "b", "b"])
    lines = [
        {"question_id": 81, "answer_a": "x", "answer_b": "y", "winner": winner, "judge": who,
         "turn": turn}
        for turn in (1, 2)
        for who, winner in (("p", "model_a"), ("q", "model_a"), ("r", "tie"))
    ]  # fmt: skip
    path = write(tmp_path / "lines.jsonl", lines)
    data = read_judge_data(path, mapping={"rater": "judge"})
    assert [(row.id, row.gold, len(row.ratings)) for row in data.rows] == [
        ("0", "a", 3), ("3", "a", 3),
    ]  # fmt: skip
    data = read_judge_data(path, mapping={"rater": "judge", "id": "question_id"})
    assert [row.id for row in data.rows] == ["81.0", "81.1"]
    with pytest.raises(DataError, match="stands twice"):
        read_judge_data(path, mapping={"id": "question_id"})


def test_ids_are_one_whatever_the_format(tmp_path):
    """A table with gaps holds 7.0 where another file holds 7; an object may be keyed by ids."""
    table = {"a7": {"response": "x", "score": 4, "id": "a7"}, "7": {"response": "y", "score": 2,
             "id": 7.0}}  # fmt: skip
    keyed = {name: {**part, "id": str(part["id"]).removesuffix(".0")} for name, part in
             table.items()}  # fmt: skip
    data = read_judge_data(write(tmp_path / "rows.json", keyed))
    assert [row.id for row in data.rows] == ["a7", "7"]
    found = read_verdict_file(
        write(tmp_path / "said.csv", [{"id": "7.0", "score": "2"}, {"id": "a7", "score": 3}]), data
    )
    assert said(found, data) == {"a7": (3,), "7": (2,)}
