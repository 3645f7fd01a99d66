"""The Trainer of a classifier: cross-entropy on labels, and distillation where rows tell more.

loss = sum(weight * KD + ce * CE) / rows of the whole optimiser step; a row without a distribution
gets CE with weight + ce. The losses are those over tokens, here over labels.
Shapes: B rows, T tokens, L labels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from distill.losses.core import per_token_loss
from distill.recipe.training import Loss
from distill.train.collate import EncodedRow
from distill.train.summed_trainer import SummedTrainer


class ClassifierTrainer(SummedTrainer):
    """The distillation losses over labels."""

    sums_kept = 5

    def __init__(
        self, *, loss: Loss, targets: Tensor, pad_id: int, val: Sequence[EncodedRow], **options: Any
    ) -> None:
        self._pad_id = pad_id
        super().__init__(collate=self._collate, val=val, **options)
        self._loss_shifts_labels = False
        self._loss = loss
        self._targets_RL = targets

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss, times the ranks that will average it."""
        sum_, sums = self._terms(model, inputs)
        self._since_log += sums
        items = len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss = sum_ / items * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _batch_sums(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        return self._terms(model, inputs)[1]

    def _figures(self, sums: Tensor) -> dict[str, float]:
        """Over all ranks, each per row."""
        *summed, count = self.accelerator.reduce(sums.to(self.args.device)).tolist()
        names = ("loss", "kd_loss", "ce_loss", "accuracy")
        return {name: value / max(count, 1) for name, value in zip(names, summed, strict=True)}

    def _terms(self, model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The weighted sum over the batch, and [it, KD, CE, right ones, rows] for the log."""
        output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        logits_BL = output.logits.float()
        labels_B = inputs["labels"]
        target_BL = self._targets_RL[inputs["keys"].cpu()].to(logits_BL.device)
        tells_B = ~target_BL.isnan().any(-1)
        ce_B = torch.nn.functional.cross_entropy(logits_BL, labels_B, reduction="none")
        kd_B = torch.zeros_like(ce_B)
        if tells_B.any():
            # A row without a distribution takes no part, so its place may hold anything.
            filled_BL = torch.where(tells_B[:, None], target_BL, torch.zeros_like(target_BL))
            kd_B = torch.where(
                tells_B, per_token_loss(logits_BL, filled_BL, self._loss), torch.zeros_like(ce_B)
            )
        ce_weight_B = torch.where(tells_B, self._loss.ce, self._loss.ce + self._loss.weight)
        weighted = (self._loss.weight * kd_B + ce_weight_B * ce_B).sum()
        right = (logits_BL.argmax(-1) == labels_B).sum()
        summed = torch.stack([weighted, kd_B.sum(), ce_B.sum(), right]).detach().tolist()
        return weighted, torch.tensor([*summed, len(labels_B)], dtype=torch.float64)

    def _collate(self, rows: Sequence[EncodedRow]) -> dict[str, Tensor]:
        """Tensors (B, T): input_ids, attention_mask; and (B): labels, keys."""
        lengths = torch.tensor([len(row.input_ids_T) for row in rows])
        input_ids_BT = torch.full((len(rows), int(lengths.max())), self._pad_id)
        for at, row in enumerate(rows):
            input_ids_BT[at, : lengths[at]] = row.input_ids_T
        mask_BT = torch.arange(input_ids_BT.shape[1])[None] < lengths[:, None]
        return {
            "input_ids": input_ids_BT,
            "attention_mask": mask_BT.long(),
            "labels": torch.cat([row.labels_T for row in rows]),
            "keys": torch.tensor([row.key for row in rows]),
        }
