"""Students of a real model from cached signals: as good as live ones, and across tokenizers."""

import json
import math
import os
from dataclasses import dataclass, replace

import pytest

from distill.capture.aligned import TwoWays, capture_aligned
from distill.capture.local import capture
from distill.progress import silent
from distill.rows.encode import Encoded
from distill.signals.settings import CaptureSettings
from distill.train.cached_signal import signal_row
from distill.train.plan import TrainPlan

os.environ.setdefault("OMP_NUM_THREADS", "1")
CONFIG = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256,
    "tie_word_embeddings": True, "initializer_range": 0.05,
}  # fmt: skip
SIGNAL_ONLY = {"kind": "forward_kl", "weight": 1.0, "ce": 0.0}
HELD_OUT = 40
QUICK = pytest.param(160, 110, 96, (1,), id="quick")
WHOLE = pytest.param(860, 700, 160, (1, 2, 3), id="whole", marks=pytest.mark.slow)


@dataclass
class Pair:
    """A teacher, a fresh student of it, and stories to train and to measure on."""

    teacher: str
    plan: TrainPlan

    def trained(self, name, **changes):
        """What comes of the plan with these changes."""
        from distill.train.stage import train
        from teachers.local_model import LocalModel

        out = f"{self.plan.out_dir}-{name}"
        return train(
            replace(self.plan, out_dir=out, **changes),
            lambda: LocalModel.load(self.teacher, chat=False),
            silent,
        )

    def rows(self, plan=None):
        """The student's tokenizer and the rows."""
        from distill.train.stage import encoded_rows

        return encoded_rows(plan or self.plan)

    def measured(self, folder, teacher=True):
        """KL to the teacher and loss per token, on the held-out stories."""
        from distill.evaluate.lm import token_figures
        from teachers.local_model import LocalModel

        student = LocalModel.load(folder, chat=False)
        reader = LocalModel.load(self.teacher, chat=False) if teacher else None
        _, rows = self.rows()
        told = [
            Encoded(row.input_ids_T.tolist(), (row.labels_T != -100).tolist(), False)
            for row in rows[-HELD_OUT:]
        ]
        found = token_figures(student, reader, told)
        tokens = sum(one.tokens for one in found)
        kl = sum(one.kl_sum for one in found) / tokens if teacher else None
        return kl, sum(one.nll_sum for one in found) / tokens


@pytest.fixture
def make_pair(real, tmp_path):
    """Makes a pair; the student has the tokenizer of the model that `tokenizer` names."""
    from distill.train.initialise import make_student

    def make(tokenizer, rows, steps, length, seed, loss, signal):
        stories = real / "data" / "tinystories" / "tinystories_1000.json"
        texts = [" ".join(text.split()) for text in json.loads(stories.read_text())]
        files = {"train": texts[:rows], "val": texts[-HELD_OUT:]}
        for name, part in files.items():
            records = [
                {
                    "id": f"{name}-{at}",
                    "messages": [
                        {"role": "user", "content": text[:16]},
                        {"role": "assistant", "content": text[16:length]},
                    ],
                    "fields": {"output_finish": "length"},
                }
                for at, text in enumerate(part)
            ]
            (tmp_path / f"{name}.jsonl").write_text(
                "".join(json.dumps(record) + "\n" for record in records)
            )
        student = {"init": "scratch", "config": CONFIG, "tokenizer": "t"}
        source = str(real / "models" / tokenizer)
        base = make_student(student, source, (), seed, tmp_path / f"before-{seed}")
        train = {"batch": 16, "steps": steps, "lr": 6e-3, "max_length": 256, "loss": loss}
        plan = TrainPlan(
            rows_path=str(tmp_path / "train.jsonl"),
            val_path=str(tmp_path / "val.jsonl"),
            student=student,
            base=base,
            train={**train, "signal": signal},
            out_dir=str(tmp_path / f"seed-{seed}"),
            seed=seed,
            chat=False,
        )
        return Pair(str(real / "models" / "babyllama-tok361"), plan)

    return make


@pytest.mark.parametrize(("rows", "steps", "length", "seeds"), [QUICK, WHOLE])
def test_a_cached_signal_is_as_good_as_the_live_one(
    make_pair, tmp_path, record_property, rows, steps, length, seeds
):
    """At under 60 bytes a position the KL to the teacher is within 3 % of the live signal's."""
    from teachers.local_model import LocalModel

    for seed in seeds:
        pair = make_pair(
            "babyllama-tok361", rows, steps, length, seed, SIGNAL_ONLY, {"kind": "dense"}
        )
        teacher = LocalModel.load(pair.teacher, chat=False)
        tokenizer, encoded = pair.rows()
        asked = [signal_row(row) for row in encoded]
        folder = tmp_path / "signals"
        found = capture(asked, teacher, tokenizer, CaptureSettings(k=16), folder, silent)
        assert found.bytes_per_position < 60
        live, _ = pair.measured(pair.trained("live").model_dir)
        sparse = {**pair.plan.train, "signal": {"kind": "topk", "k": 16}}
        cached = pair.trained("cached", train=sparse, signals=str(folder))
        kl, _ = pair.measured(cached.model_dir)
        print(f"seed {seed}: live {live:.4f}, cached {kl:.4f}, {found.bytes_per_position:.1f} B")
        record_property(f"kl_seed_{seed}", {"live": live, "cached": kl})
        assert abs(kl - live) < 0.03 * live


@pytest.mark.parametrize(("rows", "steps", "length", "seeds"), [QUICK, WHOLE])
def test_another_tokenizers_teacher_beats_text_alone(
    make_pair, tmp_path, record_property, rows, steps, length, seeds
):
    """From tok361 to tok105 at equal steps: fewer bits per byte of held-out stories."""
    from teachers.local_model import LocalModel

    for seed in seeds:
        loss = {"kind": "forward_kl", "weight": 0.7, "ce": 0.3}
        pair = make_pair("babyllama-tok105", rows, steps, length, seed, loss, {"kind": "text"})
        teacher = LocalModel.load(pair.teacher, chat=False)
        tokenizer, encoded = pair.rows()
        own = replace(
            pair.plan, base=pair.teacher, student={"model": pair.teacher},
            train={**pair.plan.train, "max_length": 256},
        )  # fmt: skip
        theirs = {row.id: signal_row(row) for row in pair.rows(own)[1]}
        both = [TwoWays(signal_row(row), theirs[row.id]) for row in encoded]
        folder = tmp_path / f"aligned-{seed}"
        settings = CaptureSettings(k=16, codec="set")
        found = capture_aligned(both, teacher, tokenizer, {}, settings, folder, silent)
        assert found.loss < 1.2
        text = pair.trained("text")
        sparse = {**pair.plan.train, "signal": {"kind": "topk", "cross_tokenizer": True}}
        aligned = pair.trained("aligned", train=sparse, signals=str(folder))
        assert text.steps == aligned.steps
        held_out = [row for row in encoded[-HELD_OUT:]]
        tokens = sum(row.supervised for row in held_out)
        said = (tmp_path / "val.jsonl").read_text().splitlines()
        size = sum(len(json.loads(line)["messages"][1]["content"].encode()) for line in said)
        bits = {
            name: pair.measured(result.model_dir, teacher=False)[1] * tokens / size / math.log(2)
            for name, result in (("text", text), ("aligned", aligned))
        }
        print(f"seed {seed}: bits per byte {bits}")
        record_property(f"bits_seed_{seed}", bits)
        assert bits["aligned"] < bits["text"]
