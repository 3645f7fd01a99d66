"""The example recipe with a real teacher: token probabilities against text alone."""

import json

import pytest

from distill.rows.dataset import read_dataset
from distill.rows.stages import read_stage

LEAST_GAIN = 0.05
"""Nats per token by which the signal must bring the student closer to its teacher, in each seed."""


@pytest.fixture(scope="module")
def folder(real, root, python, tmp_path_factory):
    """A folder with openings and held-out stories as the recipe's script makes them."""
    where = tmp_path_factory.mktemp("stories")
    stories = real / "data" / "tinystories" / "tinystories_1000.json"
    python(root / "scripts" / "stories_data.py", stories, where / "data", cwd=where, timeout=60)
    return where


@pytest.fixture(scope="module")
def command(real, root, folder, distill):
    """A function that runs the recipe on these data with this teacher."""
    given = {
        "data.pool": folder / "data" / "pool.jsonl",
        "data.gold": folder / "data" / "gold.jsonl",
        "teachers.teacher.model": real / "models" / "babyllama-tok361",
        "evaluate.seeds": 2,
    }
    settings = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]

    def run(name, *arguments, timeout):
        recipe = root / "recipes" / "examples" / "stories.yaml"
        found = distill(
            "run", recipe, "--run-dir", name, *settings, *arguments, cwd=folder, timeout=timeout
        )
        assert found.code == 0, found.err + found.out
        return found.report

    return run


@pytest.fixture(scope="module")
def report(command):
    """The report of the whole recipe, run once."""
    return command("run", timeout=1500)


def stages(folder):
    """What every finished stage says of itself, the time of its start included."""
    return {path.parent.name: path.read_text() for path in folder.glob("stages/*/done.json")}


def test_openings_become_stories_of_160_tokens(folder, report):
    """900 openings become 160 tokens each; duplicates and rows under 100 tokens are dropped."""
    generate, filtered, split = report["rows"]
    assert (generate["in"], generate["accepted"], generate["failed"]) == (900, 900, 0)
    assert filtered["in"] == 900 == filtered["accepted"] + filtered["rejected"]
    assert filtered["accepted"] >= 850
    kinds = {reason.split(":")[0] for reason in filtered["reasons"]}
    assert kinds <= {"duplicate", "length", "not_in_gold"}
    assert split["accepted"] == filtered["accepted"]

    rows = [row.fields for row in read_stage(folder / "run" / "stages" / "02-filter")]
    assert all(row["story"] == row["opening"] + row["continuation"] for row in rows)
    # A character is a token, and sampled bytes may make one character of several tokens.
    assert max(len(row["story"]) for row in rows) <= 160
    cut = [row for row in rows if row["continuation_finish"] == "length"]
    assert len(cut) > 0.9 * len(rows)
    train = [row.fields["story"] for row in read_dataset(folder / "run" / "dataset", "train")]
    assert len(set(train)) == len(train) == filtered["accepted"]
    assert min(map(len, train)) >= 98
    gold = {row["opening"] + row["continuation"] for row in gold_rows(folder)}
    assert len(gold) == 100
    assert not gold & set(train)


def gold_rows(folder):
    """The held-out stories."""
    lines = (folder / "data" / "gold.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_signal_beats_text_in_each_seed(report):
    """On 100 real stories the KL to the teacher is at least 0.05 nats lower with the signal."""
    training = report["training"]
    assert 150_000 < training["trainable"] < 200_000
    assert training["trainable_share"] == 1.0
    assert training["loss_last"] < training["loss_first"]
    gold = report["metrics"]["student"]["kl_to_teacher"]
    assert (report["metrics_on"], gold["n"]) == ("gold", 100)
    values = report["seeds"]["kl_to_teacher"]
    gains = [
        text - student for text, student in zip(values["text"], values["student"], strict=True)
    ]
    assert len(gains) == 2
    assert min(gains) >= LEAST_GAIN, values
    assert min(values["student_before"]) > 5
    losses = report["seeds"]["loss"]
    assert all(
        student < text for student, text in zip(losses["student"], losses["text"], strict=True)
    )


def test_both_arms_had_the_same_rows_and_steps(folder, report):
    """The arms differ in their signal alone: same rows, steps, order, start and learning rate."""
    plans = {
        name: [json.loads(path.read_text())["plan"] for path in sorted(paths)]
        for name in ("student", "text")
        if (paths := list(folder.glob(f"run/stages/*-train/{name}/*/plan.json")))
    }
    assert [len(found) for found in plans.values()] == [2, 2]
    for student, text in zip(plans["student"], plans["text"], strict=True):
        assert (student["train"].pop("signal")["kind"], text["train"].pop("signal")["kind"]) == (
            "dense", "text"
        )  # fmt: skip
        for plan in (student, text):
            # The first fingerprint is the untrained student's, the other one the teacher's.
            plan["weights"] = plan["weights"][:1]
            del plan["out_dir"], plan["arm"]
        assert student == text


def test_a_second_run_does_nothing_again(folder, report, command):
    """The finished run is up to date; another one takes every answer from the store."""
    before = stages(folder / "run")
    again = command("run", timeout=120)
    assert stages(folder / "run") == before
    assert again["metrics"] == report["metrics"]
    assert again["cost"] == report["cost"]
    other = command("other", "--until", "split", timeout=120)
    assert (other["cost"]["requests"], other["cost"]["stored_answers"]) == (0, 900)
    made = [folder / name / "dataset" / "train.jsonl" for name in ("run", "other")]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_the_exported_student_loads_anywhere(folder, report):
    """transformers loads the folder; it ends texts as its teacher does, with token 1 or 2."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    student = folder / "run" / "student"
    model = AutoModelForCausalLM.from_pretrained(student)
    assert model.generation_config.eos_token_id == [1, 2]
    assert model.num_parameters() == report["training"]["trainable"]
    tokenizer = AutoTokenizer.from_pretrained(student)
    ids = tokenizer("Once upon a time", return_tensors="pt")
    written = model.generate(**ids, max_new_tokens=40, do_sample=False)
    text = tokenizer.decode(written[0], skip_special_tokens=True)
    assert text.startswith("Once upon a time")
    assert len(text) > 40
