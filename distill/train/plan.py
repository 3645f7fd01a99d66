"""What one training is to do and what came of it: plain data, readable by a process of its own.

No torch here.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from distill.rows.atomic import atomic_file
from distill.rows.row import digest

PLAN_FILE, RESULT_FILE = "plan.json", "result.json"


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """One training of one student. Paths are absolute."""

    rows_path: str
    """Training rows: `train.jsonl` of a dataset."""
    student: Mapping[str, Any]
    """`student` of the recipe, as plain data."""
    base: str
    """The untrained student: what `make_student` returned."""
    train: Mapping[str, Any]
    """`train` of the recipe, as plain data; `lr` is one number or absent."""
    out_dir: str
    val_path: str | None = None
    seed: int = 0
    arm: str = "student"
    """Which system of the report this is: student, text, hard_labels, ..."""
    output: str = "output"
    """The task's output field: a row whose `<output>_finish` is `length` is not closed."""
    chat: bool | None = None
    """Absent: whether the tokenizer has a chat template."""
    mix: Sequence[Mapping[str, Any]] = ()
    """{rows_path, share}: other rows that are mixed in, learnt from their text alone."""
    prompt: Mapping[str, Any] | None = None
    """The task and the template of rows whose answer is one of a few (TaskPrompt.as_dict): a
    classifier's, or those of the loss `verdict`."""
    soft: Sequence[str] = ()
    """Fields whose votes or log-probabilities these learn from, best first."""
    weights: Sequence[str] = ()
    """Hashes of the weights behind `base` and the teacher: the same folder may hold others."""
    signals: str | None = None
    """The cache that holds the signal of every row; absent: the signal is text, or is live."""

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrainPlan":
        """The plan from its plain data."""
        lists = {name: tuple(data.get(name, ())) for name in ("weights", "mix", "soft")}
        return cls(**{**data, **lists})

    def write(self, path: Path) -> None:
        """Write the plan where a training process reads it."""
        write_json(path, self.as_dict())

    @classmethod
    def read(cls, path: Path) -> "TrainPlan":
        """The plan that `write` wrote."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))

    def digest(self) -> str:
        """What decides the trained weights, the rows' content included and the folder left out."""
        data = self.as_dict()
        del data["out_dir"]
        # How a step is spread over devices changes neither its rows nor its loss.
        spread = {"processes": None, "micro_batch": None}
        data["train"] = {**data["train"], **{k: spread[k] for k in spread if k in data["train"]}}
        for name in ("rows_path", "val_path"):
            data[name] = data[name] and _file_digest(Path(data[name]))
        data["signals"] = self.signals and _file_digest(Path(self.signals) / "manifest.json")
        data["mix"] = [
            {**blend, "rows_path": _file_digest(Path(blend["rows_path"]))} for blend in self.mix
        ]
        return digest(data)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of one training."""

    steps: int
    tokens: int
    """Tokens read over all steps, padding left out."""
    loss_first: float
    """Of the first step."""
    loss_last: float
    """Mean over the last logged steps."""
    tokens_per_s: float
    trainable: int
    trainable_share: float
    model_dir: str
    """The trained student, or with LoRA its adapter."""
    val_loss: float | None = None
    """Objective per supervised token of the validation rows after the last step."""
    seconds: float = 0.0
    supervised_tokens: int = 0
    """Tokens learnt over all steps."""
    pairs: Mapping[str, float] | None = None
    """Of preference distillation on the validation pairs after training: {right, n}."""
    verdicts: Mapping[str, float] | None = None
    """Of a judge, as it was measured last: {left_over, score_error, n}: mean mass on no allowed
    answer, mean distance of the expected score from the target's."""
    soft_rows: int = 0
    """Training rows of a classifier that have a distribution over the labels."""
    truncated_rows: int = 0
    """Training rows cut at `max_length`."""
    restarts: Sequence[Mapping[str, int]] = ()
    """Where it went on with the weights of a checkpoint and a fresh optimiser, because the number
    of processes had changed: {step, processes_before, processes}."""
    curve: tuple[Mapping[str, float], ...] = field(default=())
    """{step, loss, ce_loss, kd_loss?, learning_rate, grad_norm} and {step, val_loss, ...}."""

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrainResult":
        """The result from its plain data."""
        return cls(**{**data, "curve": tuple(data["curve"])})


def finished(plan: TrainPlan) -> TrainResult | None:
    """The result of this very plan where an earlier training has finished."""
    path = Path(plan.out_dir) / RESULT_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if data.get("digest") != plan.digest():
        return None
    return TrainResult.from_dict(data["result"])


def write_result(plan: TrainPlan, result: TrainResult) -> None:
    """Record that the plan is done; the last thing a training writes."""
    data = {"digest": plan.digest(), "result": result.as_dict()}
    write_json(Path(plan.out_dir) / RESULT_FILE, data)


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file whole or not at all."""
    with atomic_file(path) as file:
        json.dump(data, file, ensure_ascii=False, indent=1)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
