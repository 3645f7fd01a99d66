"""The command: shapes of its JSON, gates, and ids that a review knows."""

import json
import subprocess
import sys

import pytest

from distill.rows.identity import row_ids
from distill.rows.readers import read_records

KEYS = {
    "rows", "splits", "mapping", "lengths", "labels", "duplicates", "leakage", "agreement",
    "label_errors", "contradictions", "format", "diversity", "pii", "fix_first",
}  # fmt: skip


@pytest.fixture
def tickets(jsonl):
    """A small classification set with a copy and a gold row in it."""
    rows = [
        {"text": f"ticket number {n} is about the {['bill', 'bug'][n % 2]} of day {n * 13}",
         "label": ["billing", "bug"][n % 2]}
        for n in range(40)
    ]  # fmt: skip
    return jsonl("train.jsonl", [*rows, rows[5]]), jsonl("gold.jsonl", rows[:2])


def test_all_keys_are_there(say, tickets):
    """The object has the fixed keys, and is printed with exit code 0."""
    data, gold = tickets
    code, found = say(data, "--gold", gold)
    assert code == 0
    assert set(found) >= KEYS
    assert found["leakage"]["train|gold"]["exact"] == 2
    assert found["duplicates"]["exact"] == 1
    assert found["splits"] == {"train": 41}


def test_ids_are_those_of_the_file(say, tickets):
    """Rows to fix are named as every other command names the rows of this file."""
    data, gold = tickets
    known = row_ids(read_records(data))
    _, found = say(data, "--gold", gold)
    named = {id for fix in found["fix_first"] for id in fix["rows"]}
    assert named
    assert named <= set(known)


def test_a_recipe_names_gold_and_pool(say, tickets, jsonl, tmp_path):
    """What the recipe says of its dataset need not be said again; the pool is the reference."""
    data, gold = tickets
    pool = jsonl("pool.jsonl", [{"text": f"where is parcel {n}"} for n in range(30)])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "version: 1\nname: tickets\n"
        "task: {kind: classify, input: text, output: label, labels: [billing, bug]}\n"
        f"data: {{gold: {gold.name}, pool: {pool.name}}}\n"
    )
    _, found = say(data, "--recipe", recipe)
    assert found["leakage"]["train|gold"]["exact"] == 2
    assert found["mapping"]["output"] == "label"
    assert found["reference"]["rows"] == 30
    assert found["reference"]["lengths"]["reference_median_words"] == 4
    assert found["reference"]["embeddings"]["differs"]


def test_a_missed_gate(say, tickets):
    """Exit code 1; the one object holds the error and the whole report."""
    data, gold = tickets
    code, found = say(data, "--gold", gold, "--fail-over", "leakage=0", "--fail-under", "rows=10")
    assert code == 1
    assert set(found) >= KEYS
    assert found["error"]["kind"] == "gate"
    assert [gate["passed"] for gate in found["gates"]] == [True, False]
    assert len(found["error"]["problems"]) == 1


def test_headerless_text_with_a_gold_file_that_joins_nothing(say, tmp_path):
    """Gold of other names gives no figure, and says so; the gate on agreement fails."""
    lines = [f"w{n % 3}\titem{n // 3}\t{'YES' if (n * 7) % 5 > 2 else 'NO'}" for n in range(60)]
    data, gold = tmp_path / "labels.txt", tmp_path / "gold.txt"
    data.write_text("\n".join(lines))
    gold.write_text("http://a.example/1\tYes\nhttp://a.example/2\tNo\n")
    flags = ["--columns", "worker,item,label", "--unit", "item", "--rater", "worker"]
    code, found = say(data, *flags, "--label", "label", "--gold", gold, "--fail-under",
                      "agreement=0.6")  # fmt: skip
    assert code == 1
    rated = found["agreement"]["label"]
    assert (rated["units"], rated["raters"]) == (20, 3)
    assert rated["gold"]["joined"] == 0
    assert rated["gold"]["majority"]["value"] is None
    gold.write_text("".join(f"item{n}\tyes\n" for n in range(20)))
    _, joined = say(data, *flags, "--label", "label", "--gold", gold)
    assert joined["agreement"]["label"]["gold"]["joined"] == 20
    assert joined["agreement"]["label"]["gold"]["majority"]["n"] == 20


@pytest.mark.parametrize(
    ("args", "code", "found"),
    [
        (["nosuch.jsonl"], 2, "no such file"),
        (["train.jsonl", "--map", "input"], 2, "input=text"),
        (["train.jsonl", "--map", "input=nosuch"], 2, "nosuch"),
        (["train.jsonl", "--fail-under", "agreement"], 2, "name=number"),
        (["train.jsonl", "--fail-over", "nosuch=1"], 2, "nosuch"),
        (["train.jsonl", "--annotators", "a,b"], 2, "no column"),
    ],
)
def test_wrong_calls(say, tickets, monkeypatch, args, code, found):
    """Wrong files, flags and columns are exit code 2 with what is allowed."""
    monkeypatch.chdir(tickets[0].parent)
    said, told = say(*args)
    assert said == code
    assert found in json.dumps(told["error"])


def test_inspect_loads_no_torch(tickets):
    """The whole command runs without torch and transformers."""
    code = (
        "import sys; from distill.cli.main import main\n"
        f"try: main(['inspect', {str(tickets[0])!r}, '--json', '--quiet'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(sorted(set(sys.modules) & {'torch', 'transformers'}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_unknown_tokens(say, jsonl, tmp_path):
    """A tokenizer's unknown tokens are counted, with the pieces and the rows."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<unk>": 0, "hello": 1, "there": 2}, unk_token="<unk>")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    folder = tmp_path / "tok"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    data = jsonl("d.jsonl", [{"id": "a", "text": "hello there"}, {"id": "b", "text": "hello zoo"}])
    _, found = say(data, "--tokenizer", folder)
    tokens = found["tokens"]
    assert (tokens["unknown"], tokens["rows"], tokens["unknown_pieces"]) == (1, ["b"], {"zoo": 1})
    code, _ = say(data, "--tokenizer", tmp_path / "nosuch")
    assert code == 2
