"""from_documents over xquad.en's articles, and self_instruct from the 175 seed tasks."""

import json

import pytest


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def articles(real, tmp_path):
    """xquad.en as documents and as gold: its questions with the paragraph that answers them."""
    data = json.loads((real / "data/xquad/xquad.en.json").read_text("utf-8"))["data"]
    assert len(data) == 48
    documents, gold = [], []
    for number, article in enumerate(data):
        texts = [paragraph["context"] for paragraph in article["paragraphs"]]
        title = article.get("title") or f"article {number}"
        documents.append({"id": f"a{number}", "title": title, "text": "\n\n".join(texts)})
        gold += [
            {"question": qa["question"], "answer": qa["answers"][0]["text"],
             "passages": [{"title": title, "text": paragraph["context"]}]}
            for paragraph in article["paragraphs"] for qa in paragraph["qas"]
        ]  # fmt: skip
    assert len(gold) == 1190
    write(tmp_path / "documents.jsonl", documents)
    write(tmp_path / "gold.jsonl", gold)
    return documents, gold


RECIPE = """\
version: 1
name: xquad
seed: 4
teachers:
  t:
    kind: scripted
    max_tokens: 400
    script:
      - {when: '(?s)Write one question.*?\\n\\n(?:[^\\n]*\\n)?(\\w+ \\w+ \\w+ \\w+)',
         answers: ['What is said of {1}?']}
      - {when: 'Answer the question', answers: ['It is said there [1] [2] [3] [4].']}
task: {kind: grounded}
data: {documents: documents.jsonl, gold: gold.jsonl}
generate: {strategy: from_documents, ask: t, accept: 180,
           options: {words: 150, unanswerable: 0.2, distractors: 3}}
filter:
  - duplicate: {field: question}
split: {train: 0.9, val: 0.1, keep_together: [seed]}
"""


def test_from_documents_over_xquad(distill, articles, tmp_path):
    """180 grounded rows of 48 articles: whole passages, foreign distractors, split by article."""
    documents, gold = articles
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    said = distill("generate", "recipe.yaml", cwd=tmp_path, timeout=120)
    assert said.code == 0, said.err + said.out
    assert said.report["shortfall"] is None
    folder = tmp_path / "runs/xquad/dataset"
    train, val = lines(folder / "train.jsonl"), lines(folder / "val.jsonl")
    assert len(train) + len(val) == 180
    whole = {document["id"]: " ".join(document["text"].split()) for document in documents}
    for row in [*train, *val]:
        fields = row["fields"]
        shown = [part["id"].split("#")[0] for part in fields["passages"]]
        assert len(shown) == 4
        for place, part in zip(shown, fields["passages"], strict=True):
            assert len(part["text"].split()) <= 150
            assert " ".join(part["text"].split()) in whole[place]
        assert shown.count(fields["passage_id"]) == (0 if fields["unanswerable"] else 1)
    share = sum(row["fields"]["unanswerable"] for row in [*train, *val]) / 180
    assert 0.12 < share < 0.28
    sides = [{row["fields"]["passage_id"] for row in part} for part in (train, val)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 48
    questions = {row["question"] for row in gold}
    assert not questions & {row["fields"]["question"] for row in [*train, *val]}


SEEDS = """\
version: 1
name: grown
seed: 2
teachers:
  t: {kind: scripted, script: [{when: 'zzz', answers: ['zzz']}]}
task: {kind: generate, input: instruction, output: answer}
data: {seeds: seeds.jsonl}
generate: {strategy: self_instruct, ask: t, accept: 200}
filter:
  - near_duplicate: {field: instruction, similarity: 0.7}
"""


def test_self_instruct_from_175_seed_tasks(distill, real, tmp_path):
    """The seeds grow to 200 rows, none of them a copy; later rounds are shown earlier rows."""
    tasks = lines(real / "data/self_instruct/seed_tasks.jsonl")
    assert len(tasks) == 175
    write(tmp_path / "seeds.jsonl", [
        {"instruction": task["instruction"], "answer": task["instances"][0]["output"]}
        for task in tasks
    ])  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(SEEDS)
    said = distill("generate", "recipe.yaml", cwd=tmp_path, timeout=120)
    assert said.code == 0, said.err + said.out
    assert said.report["shortfall"] is None
    rows = lines(tmp_path / "runs/grown/dataset/train.jsonl")
    assert len(rows) == 200
    made = {row["fields"]["instruction"] for row in rows}
    assert len(made) == 200
    seeds = {task["instruction"] for task in tasks}
    shown = {example["instruction"] for row in rows for example in row["fields"]["examples"]}
    assert shown & seeds
    assert shown & made
    assert shown <= seeds | made
