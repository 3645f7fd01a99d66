"""A judge from a recipe: trained on a toy rubric with a tiny student, loaded, and measured."""

import json
from pathlib import Path
from random import Random

import pytest

from distill.judge.judge import Judge

pytestmark = pytest.mark.long

STUDENT = {
    "init": "scratch",
    "tokenizer": {"bpe": 300},
    "config": {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 128,
    },
}  # fmt: skip
GOOD = ("great", "fine", "sound")
BAD = ("poor", "weak", "awful")
THINGS = ("tea", "rain", "bread", "ships", "clocks", "moss", "maps", "bees", "salt", "ice")


def first(at):
    """A coin that nothing in the row's number tells."""
    return Random(at).random() < 0.5


def single(at):
    """An answer that is good or bad, to an instruction of its own."""
    good = first(at)
    word = (GOOD if good else BAD)[at // 2 % 3]
    row = {"instruction": f"On {THINGS[at % 10]} {at}", "response": f"{word} talk, page {at}"}
    return row, ("5" if good else "1")


def double(at):
    """A good and a bad answer, in either place."""
    good, bad = f"{GOOD[at // 2 % 3]} page {at}", f"{BAD[at // 3 % 3]} page {at}"
    a, b = (good, bad) if first(at) else (bad, good)
    return {"instruction": f"On {THINGS[at % 10]} {at}", "a": a, "b": b}, "a" if first(at) else "b"


ABSOLUTE = {
    "task": {"kind": "judge_absolute", "prompt": "{{ instruction }}: {{ response }} ->"},
    "script": [
        {"when": f"Response:\\s+({'|'.join(GOOD)})", "answers": ["5"]},
        {"when": f"Response:\\s+({'|'.join(BAD)})", "answers": ["1"]},
    ],
}
PAIRWISE = {
    "task": {"kind": "judge_pairwise", "prompt": "{{ instruction }} A {{ a }} B {{ b }} ->"},
    "script": [
        {"when": f"Response A:\\s+({'|'.join(GOOD)})", "answers": ["A"]},
        {"when": f"Response A:\\s+({'|'.join(BAD)})", "answers": ["B"]},
    ],
}


def made(kind, row_of, loss, **task):
    """The recipe, with rows of one kind; those held out have instructions of their own."""
    output = "winner" if kind is PAIRWISE else "score"
    pool = [row_of(at)[0] for at in range(72)]
    gold = [{**row, output: said} for row, said in map(row_of, range(300, 340))]
    for name, rows in (("pool", pool), ("gold", gold)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = {"batch": 12, "steps": 90, "lr": 1e-2, "max_length": 128}
    recipe = {
        "version": 1, "name": "j", "seed": 2,
        "teachers": {"big": {"kind": "scripted", "script": kind["script"], "max_tokens": 16}},
        "task": {**kind["task"], **task},
        "data": {"pool": "pool.jsonl", "gold": "gold.jsonl"},
        "generate": {"strategy": "label_pool", "ask": "big"},
        "split": {"train": 0.9, "val": 0.1, "keep_together": ["instruction"]},
        "student": STUDENT,
        "train": {**train, **({"loss": loss} if loss else {})},
        "evaluate": {"on": ["gold"], "baselines": ["majority"]},
    }  # fmt: skip
    Path("recipe.yaml").write_text(json.dumps(recipe))
    return pool, gold


@pytest.mark.parametrize(
    ("kind", "row_of", "loss", "task"),
    [
        (ABSOLUTE, single, {"kind": "verdict", "form": "cdf"}, {}),
        (PAIRWISE, double, {"kind": "verdict"}, {}),
        (ABSOLUTE, single, None, {"format": "json"}),
    ],
    ids=["absolute-verdict-loss", "pairs-verdict-loss", "absolute-json"],
)
def test_a_judge_beats_the_commonest_verdict(
    kind, row_of, loss, task, project, tmp_path, monkeypatch
):
    """On instructions that it never saw, in both orders; the report holds both figures."""
    monkeypatch.chdir(tmp_path)
    pool, gold = made(kind, row_of, loss, **task)
    assert not {row["instruction"] for row in pool} & {row["instruction"] for row in gold}
    said = project.command("run", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    metrics, passport = said.json["metrics"], said.json["judging"]["student"]
    majority = metrics["majority"]["accuracy"]["value"]
    assert passport["reference_lines"]["majority"]["value"] == majority < 0.7
    assert metrics["student"]["accuracy_failures_wrong"]["low"] > majority
    assert metrics["student"]["accuracy_failures_wrong"]["n"] == len(gold)
    if kind is PAIRWISE:
        for order in ("order_ab", "order_ba", "both_right"):
            assert passport[order]["low"] > majority
    assert said.json["verdict"]["say"] in ("ship", "more_data")
    written = json.loads(Path("runs/j/dataset/train.jsonl").read_text().splitlines()[0])
    answer = written["messages"][-1]["content"]
    judge = Judge.load("runs/j/student")
    row = gold[0]
    try:
        if kind is PAIRWISE:
            found = judge.compare_batch([row])[0]
            assert (found.winner, found.consistent) == (row["winner"], True)
            return
        grade = judge.grade_batch([row])[0]
        assert (str(grade.score), grade.tries) == (row["score"], 1)
        if task:
            assert json.loads(answer)["verdict"] in (1, 5)
            assert json.loads(grade.raw)["verdict"] == grade.score
            assert grade.expected == pytest.approx(int(row["score"]), abs=0.5)
    finally:
        judge.close()


def test_a_verdict_inside_json_cannot_be_scored(project, tmp_path, monkeypatch):
    """The loss `verdict` needs the verdict as the last thing that is written; check says so."""
    monkeypatch.chdir(tmp_path)
    made(ABSOLUTE, single, {"kind": "verdict"}, format="json")
    said = project.command("check", "recipe.yaml", "--json")
    assert said.code == 2
    assert [problem["key"] for problem in said.json["error"]["problems"]] == ["task.format"]
