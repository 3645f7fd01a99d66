"""Answers that were cut off: counted where somebody says so, and nowhere else taken for 0."""

import json

import pytest

from distill.errors import DataError
from distill.judge.passport import judge_passport
from distill.judge.recorded import inner_verdicts, read_verdict_file
from distill.judge.rows import read_judge_data
from distill.judge.verdicts import Verdict, by_row

ROWS = [
    {"id": at, "instruction": f"q{at}", "response": "r", "score": 1 + at % 5} for at in range(6)
]


def counted(tmp_path, ending, column, values, mapping=None):
    """Rows cut off and rows that do not tell, of a file of verdicts with that column."""
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    file = tmp_path / f"verdicts.{ending}"
    lines = [{"id": row["id"], "score": row["score"]} for row in ROWS]
    for line, value in zip(lines, values, strict=False):
        line[column] = value
    if ending == "csv":
        head = ["id", "score", column]
        text = "\n".join([",".join(head), *(",".join(str(r[k]) for k in head) for r in lines)])
    else:
        text = "\n".join(map(json.dumps, lines))
    file.write_text(text, encoding="utf-8")
    rows = read_judge_data(data)
    judged = by_row(read_verdict_file(file, rows, mapping).verdicts, rows).values()
    told = [one.truncated for one in judged if one.truncated is not None]
    return sum(told) if told else None, len(judged) - len(told)


@pytest.mark.parametrize(
    ("ending", "column", "values", "count"),
    [
        ("jsonl", "finish_reason", ["length", "stop", "stop", None, "length", "content_filter"],
         (2, 1)),
        ("csv", "stop_reason", ["max_tokens", "end_turn", "end_turn", "", "end_turn", "end_turn"],
         (1, 1)),
        ("csv", "truncated", ["True", "False", "0", "1", "no", "FinishReason.MAX_TOKENS"], (3, 0)),
        ("jsonl", "truncated", [False] * 6, (0, 0)),
        ("jsonl", "finish_reason", [None] * 6, (None, 6)),
        ("jsonl", "finish_reason", ["because"] * 6, (None, 6)),
        ("jsonl", "note", ["length"] * 6, (None, 6)),
    ],
)  # fmt: skip
def test_usual_columns(tmp_path, ending, column, values, count):
    """By the names and words of servers; what nobody says is null, not 0."""
    assert counted(tmp_path, ending, column, values) == count


def test_a_named_column(tmp_path):
    """--map truncated=COLUMN, or a path; there a word that says nothing is refused by line."""
    how = [{"finish": "length"}, {"finish": "stop"}] * 3
    assert counted(tmp_path, "jsonl", "api", how, {"truncated": "api.finish"}) == (3, 0)
    with pytest.raises(DataError) as caught:
        counted(tmp_path, "jsonl", "api", ["length", "because"] * 3, {"truncated": "api"})
    assert [problem.line for problem in caught.value.problems] == [2, 4, 6]


def test_either_order_of_a_pair(tmp_path):
    """A row is cut off where one of its orders is, also where the verdicts lie in the data."""
    told = ["stop", "length", None]
    records = [
        {"id": at, "instruction": "q", "a": "x", "b": "y", "winner": "a", "said": "a", "end": end}
        for at, end in enumerate(told)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    data = read_judge_data(path)
    first = inner_verdicts(path, data, {"verdict": "said", "truncated": "end"}).verdicts
    second = tmp_path / "ba.jsonl"
    lines = [{"id": at, "order": "ba", "winner": "a", "truncated": at == 0} for at in range(3)]
    second.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    both = first + read_verdict_file(second, data).verdicts
    found = judge_passport(data, [*both, Verdict("2", "a", "ba")]).as_dict()
    assert (found["truncated"], found["truncated_unknown"]) == (2, 1)
    plain = inner_verdicts(path, data, {"verdict": "said"}).verdicts
    assert judge_passport(data, plain).as_dict()["truncated"] is None
