"""The Trainer of a language model: cross-entropy and distillation on the supervised tokens.

loss = sum(weight * KD + ce * CE) / supervised tokens of the whole optimiser step (all ranks, all
accumulation steps). Shapes: B rows, T tokens, V vocabulary, N supervised tokens.
"""

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import TrainerCallback

from distill.losses.fused_loss import FusedPlan, FusedTerms, HeadTargets
from distill.progress import Listener, Progress
from distill.recipe.training import HiddenMatch, Loss
from distill.train.collate import IGNORED, Collator, Item, signalled
from distill.train.fused_head import FusedHead, head_terms
from distill.train.hidden import load_projector, save_projector
from distill.train.self_test import packing_test, self_test
from distill.train.summed_trainer import SummedTrainer


class TeacherSignal(Protocol):
    """What a teacher says of a batch: live, remembered, or from a cache."""

    def added(self, targets: HeadTargets, inputs: Mapping[str, Tensor]) -> HeadTargets:
        """The targets with the teacher's signal for those that have one."""
        ...


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised. Without a signal the distillation term's weight falls to the text."""

    loss: Loss
    signal: TeacherSignal | None = None
    text_ce: float | None = None
    """Weight of cross-entropy on rows of text; absent: weight + ce of the loss."""
    hidden: HiddenMatch | None = None

    def targets(self, inputs: Mapping[str, Tensor]) -> HeadTargets:
        """What is to be learnt from a batch."""
        labels_BT = inputs["labels"][:, 1:]
        keep_BT = labels_BT != IGNORED
        labels_N, ce_N = labels_BT[keep_BT], None
        if self.text_ce is not None:
            told_N = signalled(inputs)
            ce_N = torch.where(told_N, self.loss.ce, self.text_ce).to(labels_N.device)
        text = HeadTargets(labels_N, self.loss, keep_BT=keep_BT, ce_N=ce_N, hidden=self.hidden)
        if self.signal is None or bool(inputs["text_only"].all()):
            return text
        return self.signal.added(text, inputs)


class DistillTrainer(SummedTrainer):
    """The distillation objective on the supervised tokens of a language model."""

    sums_kept = 6

    def __init__(
        self, *, objective: Objective, collator: Collator, val: Sequence[Item], **options: Any
    ) -> None:
        super().__init__(collate=collator, val=val, **options)
        self._objective = objective
        FusedHead.install(self.model, FusedPlan())
        self._tested = False

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss, times the ranks that will average it."""
        targets = self._objective.targets(inputs)
        self._test_once(model, inputs, targets)
        found = head_terms(model, inputs, targets)
        count = len(targets.labels_N)
        self._since_log += _sums(found, targets)
        items = count if num_items_in_batch is None else num_items_in_batch
        loss = found.weighted / items * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            save_projector(self.model, output_dir or self.args.output_dir, state_dict)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        load_projector(self.model, resume_from_checkpoint)

    def _test_once(self, model: Any, inputs: Mapping[str, Tensor], targets: HeadTargets) -> None:
        """Before the first step: what cannot be promised is tried on the model itself."""
        if self._tested:
            return
        packing_test(model, inputs, targets)
        self_test(model, inputs, targets)
        self._tested = True

    def _batch_sums(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        targets = self._objective.targets(inputs)
        return _sums(head_terms(model, inputs, targets), targets)

    def _figures(self, sums: Tensor) -> dict[str, float]:
        """Over all ranks: the objective per supervised token, each term over its own tokens."""
        total = self.accelerator.reduce(sums.to(self.args.device)).tolist()
        weighted, kd, told, ce, count, hidden = total
        figures = {"loss": weighted / max(count, 1), "ce_loss": ce / max(count, 1)}
        if self._objective.signal is not None:
            figures["kd_loss"] = kd / max(told, 1)
        if self._objective.hidden is not None:
            figures["hidden_loss"] = hidden / max(told, 1)
        return figures


def _sums(found: FusedTerms, targets: HeadTargets) -> Tensor:
    """What is minimised, KD, CE, their tokens, hidden distance of one batch, for the log."""
    weighted, kd, ce = torch.stack([found.weighted.detach(), found.kd, found.ce]).tolist()
    count = len(targets.labels_N)
    told = count if targets.signal_N is None else int(targets.signal_N.sum())
    told = 0 if targets.teacher is None else told
    hidden = 0.0 if found.hidden is None else float(found.hidden)
    return torch.tensor([weighted, kd, told, ce, count, hidden], dtype=torch.float64)


class TellProgress(TrainerCallback):  # type: ignore[misc]  # transformers is not fully typed
    """Tells a listener where the training stands, and keeps the time."""

    def __init__(self, listen: Listener, tokens_of_step: Sequence[int]) -> None:
        self._listen = listen
        self._tokens_to = [0]
        for tokens in tokens_of_step:
            self._tokens_to.append(self._tokens_to[-1] + tokens)
        self._from_step = 0
        self._started = time.perf_counter()
        self.seconds = 0.0
        self.final_tokens_per_s = 0.0

    def tokens_per_s(self, step: int) -> float:
        """Tokens read per second since this process began to train."""
        elapsed = max(time.perf_counter() - self._started, 1e-9)
        return (self._tokens_to[step] - self._tokens_to[self._from_step]) / elapsed

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._from_step = state.global_step
        self._started = time.perf_counter()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self._started
        self.final_tokens_per_s = self.tokens_per_s(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Pass the loss on."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        step = state.global_step
        elapsed = time.perf_counter() - self._started
        figures = {
            "loss": logs["loss"],
            "tokens_per_s": self.tokens_per_s(step),
            "peak_gb": peak_memory() / 1e9,
            "left_s": elapsed / max(step - self._from_step, 1) * (state.max_steps - step),
        }
        self._listen(Progress("train", state.global_step, state.max_steps, figures))


def peak_memory() -> int:
    """Bytes: the most that this process has held so far, on its GPU where it has one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
