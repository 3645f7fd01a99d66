"""Runs whose student learns rows as they are given: raw text, and preferences."""

import json

import pytest

from distill.errors import DataError, RecipeError
from distill.recipe.check import check
from distill.recipe.load import load_recipe
from distill.rows.readers import read_numbered
from distill.run.rows.finished import GoldTexts, write_blend
from distill.run.walk import run_recipe

STUDENT = """\
split: {train: 0.8, val: 0.2}
student:
  init: scratch
  tokenizer: {bpe: 300}
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
evaluate: {on: [val]}
"""
CLM = """\
version: 1
name: corpus
task: {kind: generate}
data: {documents: corpus}
train: {objective: clm, packing: true, batch: 8, steps: 8, lr: 1.0e-2, max_length: 32,
        mix: [{data: other.jsonl, share: 0.25}]}
"""
DPO = """\
version: 1
name: pairs
task: {kind: generate}
data: {pool: pairs.jsonl}
train: {objective: dpo, batch: 8, steps: 12, lr: 1.0e-2, max_length: 64}
"""


def _write(folder, name, records):
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))


def _run(folder, text, *overrides, **options):
    (folder / "recipe.yaml").write_text(text + STUDENT)
    return run_recipe(load_recipe(folder / "recipe.yaml", overrides), **options)


@pytest.fixture
def corpus(workdir):
    """A folder of documents, and other data to be mixed in."""
    (workdir / "corpus").mkdir()
    for at in range(20):
        text = f"# Case {at}\n\nThe {('red', 'green', 'blue')[at % 3]} cat number {at} is very old."
        (workdir / "corpus" / f"{at}.md").write_text(text)
    _write(workdir, "other.jsonl", [{"text": f"a rose {at} is a rose"} for at in range(5)])
    return workdir


def test_documents_are_learnt_as_raw_text(corpus):
    """Nobody is asked; rows are {id, text}; the loss on held-out text falls."""
    report = _run(corpus, CLM)
    lines = (corpus / "runs/corpus/dataset/train.jsonl").read_text().splitlines()
    assert {tuple(json.loads(line)) for line in lines} == {("id", "text")}
    assert report["cost"]["requests"] == 0
    assert report["rows"][0]["accepted"] == 20
    before, after = (report["metrics"][name]["loss"] for name in ("student_before", "student"))
    assert after["value"] < before["value"]
    assert after["n"] == 4
    assert "teacher" not in report["metrics"]
    assert (corpus / "runs/corpus/student/config.json").is_file()


def test_given_preferences_are_learnt(workdir):
    """Texts or lists of turns; held-out pairs told right, with an interval."""
    pairs = [
        {"prompt": f"the rose {at % 9} is", "chosen": "red", "rejected": f"green {at % 4}"}
        for at in range(40)
    ]
    turns = [{"role": "user", "content": "the old rose is"}]
    pairs.append({"prompt": turns, "chosen": "red", "rejected": "blue"})
    _write(workdir, "pairs.jsonl", pairs)
    report = _run(workdir, DPO, "split.keep_together=[]")
    line = json.loads((workdir / "runs/pairs/dataset/train.jsonl").read_text().splitlines()[0])
    assert list(line) == ["id", "prompt", "chosen", "rejected", "fields"]
    assert line["chosen"] == [{"role": "assistant", "content": "red"}]
    found = report["metrics"]["student"]["pair_accuracy"]
    assert found["value"] > 0.5
    assert 0 < found["low"] < found["value"]
    assert report["training"]["pairs"]["n"] == found["n"] == 8
    assert report["training"]["loss_last"] < report["training"]["loss_first"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("documents: corpus", "pool: other.jsonl"), None),
        (("objective: clm", "objective: dpo"), "generate"),
        (("documents: corpus", "pool: bad.jsonl"), "task.input"),
        (("packing: true", "signal: {kind: dense}"), "train.signal"),
        (("data: other.jsonl", "data: none.jsonl"), "train.mix.0.data"),
        (("packing: true", "early_stop: true"), None),
    ],
)
def test_what_cannot_be_learnt_is_found_before(corpus, change, key):
    """Missing fields and files, signals and splits that do not go with the objective."""
    _write(corpus, "bad.jsonl", [{"body": "no text here"}])
    (corpus / "recipe.yaml").write_text(CLM.replace(*change) + STUDENT)
    recipe = load_recipe(corpus / "recipe.yaml")
    keys = [problem.key for problem in check(recipe, {}, read_numbered).problems]
    assert (key in keys) if key else not keys


def test_early_stop_needs_val(corpus):
    """Without a split there is nothing to stop by."""
    text = CLM.replace("packing: true", "early_stop: true")
    with pytest.raises(RecipeError, match=r"train\.early_stop"):
        _run(corpus, text, "split.train=1", "split.val=0", "evaluate=null")


def test_pairs_that_are_none_are_named(workdir):
    """The row and the field."""
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    _write(workdir, "pairs.jsonl", [{**good, "prompt": str(at)} for at in range(9)])
    with (workdir / "pairs.jsonl").open("a") as file:
        file.write(json.dumps({**good, "rejected": ""}) + "\n")
    with pytest.raises(DataError, match="'rejected'"):
        _run(workdir, DPO)


def test_gold_is_never_mixed_in(workdir):
    """Rows that show a gold text are left out and counted; a file of nothing else is refused."""
    from distill.recipe.prompts import TaskPrompt

    (workdir / "recipe.yaml").write_text(DPO + STUDENT)
    prompt = TaskPrompt.from_recipe(load_recipe(workdir / "recipe.yaml"))
    gold = GoldTexts(["How do I get my money back?"])
    source, target = workdir / "other.jsonl", workdir / "mix.jsonl"
    turns = [{"role": "user", "content": "how do I get my money  back?"},
             {"role": "assistant", "content": "no"}]  # fmt: skip
    _write(workdir, source.name, [{"messages": turns}, {"prompt": "x", "chosen": "y"}])
    assert write_blend(source, prompt, gold, target) == 1
    (kept,) = map(json.loads, target.read_text().splitlines())
    assert [turn["content"] for turn in kept["messages"]] == ["x", "y"]
    _write(workdir, source.name, [{"messages": turns}])
    with pytest.raises(DataError, match="every row holds gold"):
        write_blend(source, prompt, gold, target)
