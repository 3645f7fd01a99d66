"""Leaks and duplicates in real data: planted ones are all found, those that are there are told."""

import asyncio
import csv
import json
import random

import pytest

from distill.filters.chain import build_chain
from distill.measure.duplicates import clusters
from distill.recipe.schema import Recipe
from distill.rows.row import Row

PLANTED = 100


def lines(path):
    """The records of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def against_gold(texts, gold, **options):
    """The rows after not_in_gold."""
    recipe = Recipe.model_validate(
        {
            "name": "leaks",
            "task": {"kind": "generate", "input": "text", "output": "text"},
            "data": {"gold": "gold.jsonl"},
            "filter": [{"not_in_gold": options}],
        }
    )
    chain = build_chain(recipe, gold=[{"text": text} for text in gold])
    rows = [Row(f"{at:06}", {"text": text}) for at, text in enumerate(texts)]
    return asyncio.run(chain.sift(rows))


def counted(rows):
    """Rows dropped, by how they are in gold."""
    reasons = [row.reason for row in rows if row.reason]
    return {name: reasons.count(f"not_in_gold:{name}") for name in ("exact", "ngram", "near")}


def assert_copies_are_dropped(rows, gold):
    """Every text that stands in gold, but for case and marks, went; counted without our code."""

    def plain(text):
        marked = (character if character.isalnum() else " " for character in text.lower())
        return " ".join("".join(marked).split())

    there = {plain(text) for text in gold}
    copies = [row for row in rows if plain(row.fields["text"]) in there]
    assert len(copies) >= 20
    assert {row.status for row in copies} == {"rejected"}


@pytest.fixture(scope="module")
def gsm8k(real):
    """Questions of train and test."""
    folder = real / "data" / "gsm8k"
    return [
        [row["question"] for row in lines(folder / f"{name}.jsonl")] for name in ("train", "test")
    ]


def reworded(text, vocabulary, luck):
    """The text with every sixth word changed."""
    words = text.split()
    for at in range(luck.randrange(6), len(words), 6):
        words[at] = luck.choice(vocabulary)
    return " ".join(words)


def test_planted_leaks_of_gsm8k_are_all_found(gsm8k):
    """Exact copies, reworded ones and long runs inside other texts; next to no other row goes."""
    train, test = gsm8k
    luck = random.Random(8)
    vocabulary = sorted({word for text in train[:500] for word in text.split()})
    # As in Containment: of a short text too little is left once it is reworded.
    long = [text for text in test if len(text.split()) >= 25]
    leaks = {
        "exact": [f"  {text.upper()} " for text in luck.sample(test, PLANTED)],
        "near": [reworded(text, vocabulary, luck) for text in luck.sample(long, PLANTED)],
        "ngram": [
            f"{train[at][:80]} {' '.join(text.split()[3:18])} {train[at][80:]}"
            for at, text in enumerate(luck.sample(long, PLANTED))
        ],
    }
    planted = [text for texts in leaks.values() for text in texts]
    rows = against_gold([*planted, *train], test)
    for place, name in enumerate(leaks):
        found = rows[place * PLANTED : (place + 1) * PLANTED]
        missed = [row.fields["text"] for row in found if row.status == "accepted"]
        assert missed == [], name
    reasons = [row.reason for row in rows[:PLANTED]]
    assert set(reasons) == {"not_in_gold:exact"}
    others = [row for row in rows[len(planted) :] if row.status == "rejected"]
    assert len(others) <= 20


def test_real_overlaps_of_banking77(real):
    """Messages of train that stand in test: whole, inside longer ones, and in all but a word."""
    folder = real / "data" / "banking77"
    parts = []
    for name in ("train", "test"):
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            parts.append([row["text"] for row in csv.DictReader(file)])
    rows = against_gold(*parts)
    assert counted(rows) == {"exact": 26, "ngram": 268, "near": 49}
    assert_copies_are_dropped(rows, parts[1])


def test_real_overlaps_of_clinc150(real):
    """Some requests stand in train and in test, in all but words."""
    data = json.loads((real / "data/clinc150/data_full.json").read_text("utf-8"))
    parts = [[text for text, _ in data[name]] for name in ("train", "test")]
    rows = against_gold(*parts)
    assert counted(rows) == {"exact": 27, "ngram": 133, "near": 23}
    assert_copies_are_dropped(rows, parts[1])


def test_near_duplicates_of_the_demo(real):
    """Real copies with small differences lie in one cluster; the filter keeps one of each."""
    texts = [
        row["text"] for row in lines(real / "data/dedup_demo/demo-dataset-deduplication.jsonl")
    ]
    rows = {f"{at:02}": text for at, text in enumerate(texts)}
    found = clusters(rows, 0.7)
    recipe = Recipe.model_validate(
        {
            "name": "demo",
            "task": {"kind": "generate", "input": "text", "output": "text"},
            "filter": [{"near_duplicate": {"similarity": 0.7}}],
        }
    )
    chain = build_chain(recipe, gold=[])
    kept = asyncio.run(chain.sift([Row(id, {"text": text}) for id, text in rows.items()]))
    left = {row.id for row in kept if row.status == "accepted"}
    assert left == set(found.values())
    assert len(left) < len(rows)


def test_the_meaning_of_gold_with_a_real_static_model(real):
    """A real folder of static embeddings loads, and copies mean the same while others do not."""
    model = str(real / "tokenizers" / "model2vec-static-embedding")
    gold = ["How do I get a refund for my train ticket?"]
    texts = ["How do I get my train ticket refund?", "My phone does not charge any more."]
    options = {"semantic": model, "cosine": 0.9, "near": None, "similarity": None}
    first, second = against_gold(texts, gold, **options)
    assert first.reason == "not_in_gold:semantic"
    assert second.status == "accepted"
