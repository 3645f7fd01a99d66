"""What our Trainers share: rows in a fixed order, and figures that are sums over all ranks.

The stock Trainer's evaluation averages over batches and pads the last one with rows that were
counted already; here every row counts once, whatever the batch and the number of ranks.
"""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import Trainer

from distill.train.collate import Item


class SummedTrainer(Trainer):  # type: ignore[misc]  # transformers is not fully typed
    """transformers.Trainer whose loss is divided once, by the counts of the whole step."""

    sums_kept: int
    """How many sums of a batch are kept for the log."""

    def __init__(
        self,
        *,
        collate: Callable[[Sequence[Any]], dict[str, Tensor]],
        val: Sequence[Item],
        **options: Any,
    ) -> None:
        super().__init__(data_collator=collate, eval_dataset=val or None, **options)
        # Says that compute_loss divides by num_items_in_batch. Left to guess from the model's
        # signature, the Trainer may divide once more, or not at all, without a word.
        self.model_accepts_loss_kwargs = True
        self._since_log = torch.zeros(self.sums_kept, dtype=torch.float64)
        self.fresh_optimizer = False
        """Take a checkpoint's weights and step only: another number of processes wrote it."""

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> Any:
        """As it is; with a fresh optimiser without its states, the rate where the schedule is."""
        if resume_from_checkpoint is None or not self.fresh_optimizer:
            return super()._prepare_for_training(
                max_steps, train_dataloader, resume_from_checkpoint
            )
        if self.is_deepspeed_enabled:  # the Trainer itself has loaded them otherwise
            with gathered(self.model):
                self._load_from_checkpoint(resume_from_checkpoint)
        prepared = super()._prepare_for_training(max_steps, train_dataloader, None)
        advance(self.lr_scheduler, self.state.global_step)
        return prepared

    @abstractmethod
    def _batch_sums(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """What one batch adds to the figures (`sums_kept`)."""

    @abstractmethod
    def _figures(self, sums: Tensor) -> dict[str, float]:
        """The figures of these sums, over all ranks; `loss` is the objective."""

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The objective and its terms over all validation rows."""
        model = self.model_wrapped
        was_training = model.training
        model.eval()
        sums = torch.zeros(self.sums_kept, dtype=torch.float64)
        with torch.no_grad():
            for batch, counts in self._val_batches(eval_dataset or self.eval_dataset):
                found = self._batch_sums(model, self._prepare_inputs(batch))
                if counts:
                    sums += found
        model.train(was_training)
        figures = self._figures(sums)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        self.log(metrics)
        control = self.control  # type: ignore[has-type]  # transformers is not fully typed
        self.control = self.callback_handler.on_evaluate(self.args, self.state, control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the terms, before their weights, to every line of the training loss."""
        if "loss" in logs:
            figures = self._figures(self._since_log)
            logs |= {name: value for name, value in figures.items() if name != "loss"}
            self._since_log = torch.zeros(self.sums_kept, dtype=torch.float64)
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """Nothing: the count is not reported, and takes a walk over all parameters."""
        return 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset or self.train_dataset)

    def _val_batches(self, rows: Sequence[Item]) -> Iterator[tuple[dict[str, Tensor], bool]]:
        """This rank's batches of similar length, and whether each counts; all ranks get as many."""
        order = sorted(rows, key=lambda row: (row.tokens, row.key))
        size, ranks = self.args.per_device_eval_batch_size, self.args.world_size
        for start in range(0, len(order), size * ranks):
            at = start + self.args.process_index * size
            mine = order[at : at + size]
            # ZeRO-3 gathers weights in every forward pass, so no rank may skip one.
            yield self.data_collator(mine or order[:1]), bool(mine)


def advance(scheduler: Any, steps: int) -> None:
    """Bring a new schedule of the learning rate to where it stands after so many steps."""
    inner = getattr(scheduler, "scheduler", scheduler)
    with warnings.catch_warnings():
        # torch expects an optimiser step before each, which earlier processes have made.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(steps):
            inner.step()


def gathered(model: Any) -> AbstractContextManager[Any]:
    """The trainable weights whole on every rank, where ZeRO-3 shards them; rank 0's are kept."""
    sharded = [p for p in model.parameters() if p.requires_grad and hasattr(p, "ds_id")]
    if not sharded:
        return nullcontext()
    import deepspeed

    whole: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(sharded, modifier_rank=0)
    return whole
