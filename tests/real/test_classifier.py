"""A small encoder on real messages: five intents of banking77, soft labels, held-out rows."""

import csv
import json
import random

from distill.progress import silent
from distill.train.initialise import make_student
from distill.train.plan import TrainPlan
from distill.train.stage import train
from teachers.local_classifier import LocalClassifier

LABELS = (
    "card_arrival",
    "exchange_rate",
    "lost_or_stolen_card",
    "top_up_failed",
    "transfer_timing",
)
BERT = {
    "model_type": "bert", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.1,
}  # fmt: skip
SPEC = {"kind": "classifier", "init": "scratch", "config": BERT, "tokenizer": {"bpe": 1000}}
TASK = {"kind": "classify", "input": "text", "output": "label", "labels": list(LABELS)}


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["category"] in LABELS]


def test_it_learns_intents_from_a_teacher_that_is_not_sure(real, tmp_path):
    """Trained on shares of votes alone, it names four of five held-out intents rightly."""
    data = real / "data" / "banking77"
    rows, stream = rows_of(data / "train.csv"), random.Random(1)
    records = []
    for at, row in enumerate(rows):
        votes = {row["category"]: 3, stream.choice(LABELS): 1}
        fields = {"text": row["text"], "label": row["category"], "label_votes": votes}
        records.append({"id": f"{at:04}", "messages": [], "fields": fields})
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    texts = [row["text"] for row in rows]
    base = make_student(SPEC, None, texts, 1, tmp_path / "base", labels=LABELS)
    plan = TrainPlan(
        rows_path=str(path), student=SPEC, base=base, output="label", soft=("label",),
        train={
            "batch": 32, "steps": 120, "lr": 3e-3, "signal": {"kind": "labels"},
            "loss": {"kind": "forward_kl", "weight": 1.0, "ce": 0.0},
        },
        out_dir=str(tmp_path / "out"), prompt={"task": TASK, "template": "{{ input }}"},
    )  # fmt: skip
    result = train(plan, None, silent)
    assert result.soft_rows == len(rows)
    held_out = rows_of(data / "test.csv")
    model = LocalClassifier.load(result.model_dir)
    ids = [model.tokenizer(row["text"])["input_ids"] for row in held_out]
    chosen = [max(one, key=one.get) for one in model.choice_logp(ids, LABELS)]
    right = sum(one == row["category"] for one, row in zip(chosen, held_out, strict=True))
    assert right / len(held_out) > 0.8
