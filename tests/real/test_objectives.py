"""Objectives on a real model and real texts: mixed-in data, preferences, longer context."""

import json
import random
from pathlib import Path

import pytest

CONTEXT = 512
"""Of stories260k."""


@pytest.fixture(scope="module")
def stories(real):
    """1,000 real stories."""
    return json.loads((real / "data/tinystories/tinystories_1000.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def base(real):
    """A real model of 260 thousand parameters that writes stories."""
    return str(real / "models" / "stories260k")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that trains a student on rows and returns its result."""
    from distill.progress import silent
    from distill.train.plan import TrainPlan
    from distill.train.stage import train

    folder = tmp_path_factory.mktemp("objectives")

    def run(name, base, rows, *, val=None, mix=None, **settings):
        paths = {}
        for part, records in (("rows", rows), ("val", val), ("mix", mix)):
            if records:
                paths[part] = folder / f"{name}-{part}.jsonl"
                lines = (json.dumps(record) for record in records)
                paths[part].write_text("\n".join(lines), "utf-8")
        plan = TrainPlan(
            rows_path=str(paths["rows"]),
            val_path=str(paths["val"]) if val else None,
            student={"model": base},
            base=base,
            train=settings,
            mix=[{"rows_path": str(paths["mix"]), "share": 0.4}] if mix else (),
            out_dir=str(folder / name),
        )
        return train(plan, None, silent)

    return run


def _texts(texts):
    return [{"id": f"text-{at:04}", "text": text} for at, text in enumerate(texts)]


def _loss(folder, texts, length=256):
    """Nats per token of whole texts."""
    from distill.recipe.training import Train
    from distill.run.models.students import read_texts

    figures = read_texts(str(folder), texts, Train(max_length=length))
    return sum(one.nll_sum for one in figures) / sum(one.tokens for one in figures)


def test_mixed_in_data_keeps_what_was_known(real, stories, base, trained):
    """Shakespeare is learnt with and without; the stories are forgotten less with the mix."""
    whole = (real / "data/tiny_shakespeare/tiny_shakespeare.txt").read_text("utf-8")
    parts = [whole[at : at + 1500] for at in range(0, 240_000, 1500)]
    held_out, told = parts[:20], stories[:40]
    settings = {
        "objective": "clm", "packing": True, "steps": 40, "batch": 16, "lr": 2e-3,
        "max_length": 128,
    }  # fmt: skip
    alone = trained("alone", base, _texts(parts[20:]), **settings)
    mixed = trained("mixed", base, _texts(parts[20:]), mix=_texts(stories[100:400]), **settings)
    before, after, kept = (
        (_loss(one, held_out), _loss(one, told)) for one in (base, alone.model_dir, mixed.model_dir)
    )
    print("loss on Shakespeare, on stories:", before, after, kept)
    assert after[0] < before[0] - 0.3
    assert kept[0] < before[0] - 0.3
    assert kept[1] - before[1] < 0.7 * (after[1] - before[1])


def test_preferences_hold_on_new_pairs(stories, base, trained):
    """How a story goes on against how another one does: the interval lies above one half."""
    from distill.measure.intervals import proportion

    order = random.Random(3)
    pairs = []
    for at, (story, other) in enumerate(zip(stories[:260], stories[300:560], strict=True)):
        cut = story.find(" ", 120)
        start = order.randrange(150, 250)
        pairs.append(
            {
                "id": f"pair-{at:03}",
                "prompt": [{"role": "user", "content": story[:cut]}],
                "chosen": [{"role": "assistant", "content": story[cut : cut + 160]}],
                "rejected": [{"role": "assistant", "content": other[start : start + 160]}],
                "fields": {"output_finish": "length"},
            }
        )
    result = trained(
        "pairs", base, pairs[:180], val=pairs[180:], objective="dpo", packing=True, steps=30,
        batch=16, lr=1e-3, max_length=256,
    )  # fmt: skip
    found = proportion(int(result.pairs["right"]), result.pairs["n"])
    print("held-out pairs told right:", found)
    assert found.n == 80
    assert found.low > 0.5


def test_a_longer_context_reads_further(stories, base, trained, tmp_path):
    """Twice the context: the configuration reloads, the loss beyond the old end is lower."""
    from transformers import AutoConfig

    from distill.train.initialise import make_student

    joined = ["\n\n".join(stories[at : at + 8]) for at in range(0, 400, 8)]
    scaling = {"rope_type": "yarn", "factor": 2.0}
    made = make_student({"model": base, "rope_scaling": scaling}, None, (), 0, tmp_path / "long")
    result = trained(
        "long", made, _texts(joined[4:12]), objective="clm", steps=4, batch=2, lr=3e-4,
        max_length=2 * CONTEXT,
    )  # fmt: skip
    config = AutoConfig.from_pretrained(result.model_dir)
    assert config.max_position_embeddings == 2 * CONTEXT
    assert config.rope_parameters["rope_type"] == "yarn"
    plain, untrained, long = (_beyond(one, joined[:4]) for one in (base, made, result.model_dir))
    print("loss beyond 512: unscaled, scaled, scaled and trained:", plain, untrained, long)
    assert long < plain
    assert long < 3


def _beyond(folder, texts):
    """Nats per token behind the old context, within twice of it."""
    ends = [(_sums(folder, texts, length)) for length in (CONTEXT, 2 * CONTEXT)]
    (short, few), (long, many) = ends
    return (long - short) / (many - few)


def _sums(folder, texts, length):
    from distill.recipe.training import Train
    from distill.run.models.students import read_texts

    figures = read_texts(str(folder), texts, Train(max_length=length))
    return sum(one.nll_sum for one in figures), sum(one.tokens for one in figures)


def test_the_student_s_own_words_come_closer_to_the_teacher(real, stories, trained, tmp_path):
    """A disturbed copy of a real teacher: KL on the student's own samples falls."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from distill.progress import silent
    from distill.train.plan import TrainPlan
    from distill.train.stage import train
    from teachers.local_model import LocalModel

    teacher = str(real / "models" / "babyllama-tok361")
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32)
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.15 * parameter.data.std() * torch.randn_like(parameter)
    student = str(tmp_path / "student")
    model.save_pretrained(student)
    AutoTokenizer.from_pretrained(teacher).save_pretrained(student)
    rows = [
        {
            "id": f"row-{at}",
            "messages": [
                {"role": "user", "content": story[:30]},
                {"role": "assistant", "content": story[30:70]},
            ],
            "fields": {"output_finish": "length"},
        }
        for at, story in enumerate(stories[:64])
    ]
    path = Path(tmp_path / "rows.jsonl")
    path.write_text("\n".join(json.dumps(row) for row in rows))
    settings = {
        "signal": {"kind": "dense"}, "loss": {"kind": "reverse_kl", "weight": 1.0, "ce": 0.0},
        "on_policy": 1.0, "batch": 16, "steps": 16, "lr": 1e-3, "max_length": 96,
    }  # fmt: skip
    plan = TrainPlan(str(path), {"model": student}, student, settings, str(tmp_path / "out"))
    result = train(plan, lambda: LocalModel.load(teacher), silent)
    kd = [point["kd_loss"] for point in result.curve if "kd_loss" in point]
    print("KL(student || teacher) on the student's own samples:", kd)
    assert sum(kd[-4:]) < 0.8 * sum(kd[:4])
