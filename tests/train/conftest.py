"""A tiny vocabulary, a student and a teacher built in code, and datasets on disk."""

import json
import os
from dataclasses import replace

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

WORDS = ("red", "green", "blue", "the", "sky", "grass", "rose", "is", "a", "very", "old", "cat")
LABELS = ("red", "green", "blue")
CONFIG = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}


def _record(at):
    text = " ".join(WORDS[(at * 7 + k * (at + 3)) % len(WORDS)] for k in range(3 + at % 5))
    # Answers of different lengths: a mean per row or per micro-batch would weigh them differently.
    answer = " ".join([LABELS[at % 3], *WORDS[: (0, 1, 6)[at % 3]]])
    turns = [("user", f"{text}?"), ("assistant", answer)]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"row-{at:03}", "messages": messages, "fields": {"output": LABELS[at % 3]}}


@pytest.fixture
def write_rows():
    """Writes records as the JSONL file of a dataset."""

    def write(path, records):
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return str(path)

    return write


@pytest.fixture
def records():
    """Makes so many rows: a few words, then one of three labels."""
    return lambda count: [_record(at) for at in range(count)]


@pytest.fixture(scope="session")
def student():
    """`student` of a recipe: a fresh Llama with its own tokenizer."""
    return {"init": "scratch", "config": CONFIG, "tokenizer": {"bpe": 280}}


@pytest.fixture(scope="session")
def base(tmp_path_factory, student):
    """The untrained student."""
    from distill.train.initialise import make_student

    texts = [turn["content"] for at in range(20) for turn in _record(at)["messages"]]
    out = tmp_path_factory.mktemp("student")
    return make_student(student, None, texts, 5, out, words=LABELS)


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory, base):
    """A wider model with the student's tokenizer that has learnt something of rows like these."""
    from distill.progress import silent
    from distill.train.initialise import make_student
    from distill.train.plan import TrainPlan
    from distill.train.stage import train

    folder = tmp_path_factory.mktemp("teacher")
    wider = {**CONFIG, "hidden_size": 32, "vocab_size": 300}
    spec = {"init": "scratch", "config": wider, "tokenizer": base}
    begun = make_student(spec, base, (), 6, folder / "begun")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(_record(at)) + "\n" for at in range(24)))
    settings = {"batch": 8, "steps": 12, "lr": 1e-2, "max_length": 64}
    plan = TrainPlan(
        rows_path=str(rows), student=spec, base=begun, train=settings, out_dir=str(folder / "out")
    )
    return train(plan, None, silent).model_dir


@pytest.fixture
def make_plan(tmp_path, base, student, write_rows, records):
    """A plan over 16 rows; keywords change `train`, or fields of the plan itself."""
    from distill.train.plan import TrainPlan

    def make(name="out", count=16, changes=None, **train):
        rows = write_rows(tmp_path / f"train-{count}.jsonl", records(count))
        settings = {"batch": 8, "steps": 6, "max_length": 64, **train}
        plan = TrainPlan(
            rows_path=rows, student=student, base=base, train=settings, out_dir=str(tmp_path / name)
        )
        return replace(plan, **(changes or {}))

    return make
