"""The Trainer of a judge: its text, and the distribution of its verdict over the allowed answers.

loss = sum(ce * CE) / supervised tokens + weight * sum(verdict term) / verdicts, both counted over
the whole optimiser step (all ranks, all accumulation steps): a verdict is one token or two at the
end of many, and would be worth nothing among them. Rows without a verdict get CE with weight + ce.
Shapes: B rows, R of them with a verdict, S allowed answers, N supervised tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distill.losses import verdict
from distill.losses.fused_loss import FusedTerms, HeadTargets
from distill.losses.targets import VerdictTargets
from distill.recipe.training import VerdictLoss
from distill.train.collate import IGNORED
from distill.train.fused_head import AnswerTokens, head_answers
from distill.train.trainer import DistillTrainer
from distill.train.verdict_rows import sequences_of


class VerdictTrainer(DistillTrainer):
    """The same trainer with the score-aware term."""

    sums_kept = 7

    def __init__(
        self, *, shares: Mapping[int, Sequence[float]], scores: Sequence[float], **given: Any
    ) -> None:
        """`shares`: key of a row -> the target distribution of its verdict."""
        super().__init__(**given)
        assert isinstance(self._objective.loss, VerdictLoss)
        self._loss: VerdictLoss = self._objective.loss
        self._shares = shares
        self._scores = scores
        self._verdicts_in_step: Tensor | None = None
        self.verdicts_measured: dict[str, float] | None = None

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The batches of one optimiser step; counts its verdicts."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        mine = sum(len(batch["answer_keys"]) for batch in batches if "answer_keys" in batch)
        self._verdicts_in_step = self.accelerator.gather(torch.tensor([mine], device=device)).sum()
        return batches, items

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss, times the ranks that will average it."""
        text = self._text(inputs)
        self._test_once(model, inputs, text)
        found, term, sums = self._terms(model, inputs, text)
        self._since_log += sums
        items = len(text.labels_N) if num_items_in_batch is None else num_items_in_batch
        verdicts = max(int(sums[2]), 1)
        if self._verdicts_in_step is not None:
            verdicts = max(int(self._verdicts_in_step), 1)
        loss = found.weighted / items + self._loss.weight * term / verdicts
        loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _batch_sums(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        return self._terms(model, inputs, self._text(inputs))[2]

    def _figures(self, sums: Tensor) -> dict[str, float]:
        """Over all ranks: each term over its own count, and how the verdicts stand."""
        total = self.accelerator.reduce(sums.to(self.args.device)).tolist()
        weighted, kd, verdicts, ce, count, left, error = total
        told = max(verdicts, 1)
        now = {"left_over": left / told, "score_error": error / told}
        self.verdicts_measured = now | {"n": verdicts}
        return {
            "loss": weighted / max(count, 1) + self._loss.weight * kd / told,
            "ce_loss": ce / max(count, 1),
            "kd_loss": kd / told,
            **now,
        }

    def _text(self, inputs: Mapping[str, Tensor]) -> HeadTargets:
        labels_BT = inputs["labels"][:, 1:]
        keep_BT = labels_BT != IGNORED
        weights_B = torch.full_like(
            inputs["keys"], self._loss.ce + self._loss.weight, dtype=torch.float32
        )
        if "answer_keys" in inputs:
            weights_B[torch.isin(inputs["keys"], inputs["answer_keys"])] = self._loss.ce
        ce_N = weights_B.repeat_interleave(inputs["counts"])
        return HeadTargets(labels_BT[keep_BT], self._loss, keep_BT=keep_BT, ce_N=ce_N)

    def _terms(
        self, model: Any, inputs: Mapping[str, Tensor], text: HeadTargets
    ) -> tuple[FusedTerms, Tensor, Tensor]:
        """The text's sums, the verdicts' term, and what is logged.

        Logged: weighted CE, verdict term, verdicts, CE, tokens, left-over mass, score's error.
        """
        if "answer_keys" not in inputs:
            # ZeRO-3 wants the same outputs of every module on every rank: one token is asked for
            # all the same, for nothing.
            first = torch.zeros(1, dtype=torch.long, device=text.labels_N.device)
            found, logp_MK = head_answers(model, inputs, AnswerTokens(text, first, first[:, None]))
            nothing = 0.0 * logp_MK.sum()
            return found, nothing, _sums(found, text, [nothing, nothing, nothing], 0)
        asked = AnswerTokens(text, inputs["answer_at"], inputs["answer_ids"])
        found, logp_MK = head_answers(model, inputs, asked)
        logp_RSL, keep_RSL = sequences_of(logp_MK, inputs["answer_paths"])
        scores = verdict.answer_scores(verdict.sequence_logp(logp_RSL, keep_RSL))
        p_RS = [self._shares[key] for key in inputs["answer_keys"].tolist()]
        targets = VerdictTargets(
            scores.logp_NS.new_tensor(p_RS), scores.logp_NS.new_tensor(self._scores)
        )
        term = verdict.value(scores.logp_NS, targets, self._loss).sum()
        error = verdict.expected_error(scores.logp_NS.detach(), targets).abs().sum()
        told = [term, scores.left_over_N.sum(), error]
        return found, term, _sums(found, text, told, len(p_RS))


def _sums(found: FusedTerms, text: HeadTargets, told: Sequence[Tensor], verdicts: int) -> Tensor:
    term, left, error = (float(one.detach()) for one in told)
    weighted, ce = float(found.weighted.detach()), float(found.ce)
    row = [weighted, term, verdicts, ce, len(text.labels_N), left, error]
    return torch.tensor(row, dtype=torch.float64)
