"""The Trainer of a classifier: cross-entropy on labels, and distillation where rows tell more.

loss = sum(weight * KD + ce * CE) / rows of the whole optimiser step; a row without a distribution
gets CE with weight + ce. The losses are those over tokens, here over labels.
Shapes: B rows, T tokens, L labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import Trainer

from distill.losses.core import per_token_loss
from distill.recipe.training import Loss
from distill.train.collate import EncodedRow


class ClassifierTrainer(Trainer):  # type: ignore[misc]  # transformers is not fully typed
    """transformers.Trainer with the distillation losses over labels, on rows in a fixed order."""

    def __init__(
        self, *, loss: Loss, targets: Tensor, pad_id: int, val: Sequence[EncodedRow], **options: Any
    ) -> None:
        self._pad_id = pad_id
        super().__init__(data_collator=self._collate, eval_dataset=val or None, **options)
        # Says that compute_loss divides by num_items_in_batch.
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = False
        self._loss = loss
        self._targets_RL = targets
        self._since_log_3 = torch.zeros(3, dtype=torch.float64)

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss, times the ranks that will average it."""
        sum_, terms_3 = self._terms(model, inputs)
        self._since_log_3 += terms_3
        items = len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss = sum_ / items * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The objective and its terms per row, and the share of right labels, over all of val."""
        model = self.model_wrapped
        was_training = model.training
        model.eval()
        totals_5 = torch.zeros(5, dtype=torch.float64)
        with torch.no_grad():
            for batch, counts in self._val_batches(eval_dataset or self.eval_dataset):
                inputs = self._prepare_inputs(batch)
                sum_, terms_3 = self._terms(model, inputs)
                if counts:
                    right = float(self._right)
                    totals_5 += torch.tensor([float(sum_), *terms_3.tolist(), right])
        model.train(was_training)
        weighted, kd, ce, count, right = self.accelerator.reduce(
            totals_5.to(self.args.device)
        ).tolist()
        head, count = metric_key_prefix, max(count, 1)
        metrics = {f"{head}_loss": weighted / count, f"{head}_ce_loss": ce / count}
        metrics |= {f"{head}_kd_loss": kd / count, f"{head}_accuracy": right / count}
        self.log(metrics)
        control = self.control  # type: ignore[has-type]  # transformers is not fully typed
        self.control = self.callback_handler.on_evaluate(self.args, self.state, control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add both terms, before their weights, to every line of the training loss."""
        if "loss" in logs:
            kd, ce, count = self.accelerator.reduce(self._since_log_3.to(self.args.device)).tolist()
            logs |= {"ce_loss": ce / max(count, 1), "kd_loss": kd / max(count, 1)}
            self._since_log_3 = torch.zeros(3, dtype=torch.float64)
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """Nothing: the count is not reported, and takes a walk over all parameters."""
        return 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset or self.train_dataset)

    def _terms(self, model: Any, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The weighted sum over the batch, and [KD, CE, rows] for the log."""
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
        self._right = (logits_BL.argmax(-1) == labels_B).sum()
        told = [float(kd_B.detach().sum()), float(ce_B.detach().sum()), len(labels_B)]
        return weighted, torch.tensor(told, dtype=torch.float64)

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

    def _val_batches(self, rows: Sequence[EncodedRow]) -> Iterator[tuple[dict[str, Tensor], bool]]:
        """This rank's batches of similar length, and whether each counts; all ranks get as many."""
        order = sorted(rows, key=lambda row: (len(row.input_ids_T), row.id))
        size, ranks = self.args.per_device_eval_batch_size, self.args.world_size
        for start in range(0, len(order), size * ranks):
            at = start + self.args.process_index * size
            mine = order[at : at + size]
            # ZeRO-3 gathers weights in every forward pass, so no rank may skip one.
            yield self._collate(mine or order[:1]), bool(mine)
