"""On-policy distillation: in a share of the steps the student learns on what it writes itself.

In such a step every row keeps its prompt, the student writes the answer with the weights of that
very step, and the teacher is asked about each token of it (Agarwal et al. 2023, arXiv:2306.13649,
algorithm 1). The student's own words are no target, so such a step has no cross-entropy on them;
mixed-in rows of text keep theirs, with weight + ce.
Which steps these are, and what is drawn, follows from the seed alone.
Shapes: B rows, T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from distill.rows.row import digest
from distill.train.collate import IGNORED, Collator, EncodedRow, unpacked
from distill.train.trainer import DistillTrainer, Objective, TeacherSignal
from teachers.local_sampling import RowLimits, SeededSampler


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the answers of a batch with the student."""

    collator: Collator
    ends: Sequence[int]
    """Tokens that end an answer."""
    pad_id: int
    max_length: int
    """Of prompt and answer together."""
    most_tokens: int
    """Of an answer: as long as the longest one that was given."""
    seed: int

    @torch.no_grad()
    def rewritten(
        self, model: Any, batch: Mapping[str, Tensor], step: int, *, together: bool
    ) -> dict[str, Tensor]:
        """The batch with the student's own answers; rows that are learnt from their text stay.

        `together`: other ranks write at the same time and none may leave early (ZeRO-3).
        """
        rows = _rows(batch)
        prompts = [row.input_ids_T[: _last_answer(row)].tolist() for row in rows]
        limits = [
            max(1, min(self.most_tokens, self.max_length - len(prompt))) for prompt in prompts
        ]
        seeds = [int(digest([self.seed, step, row.key])[:15], 16) for row in rows]
        written = self._write(model, prompts, limits, seeds, together=together)
        own = [
            row if row.text_only else _answered(row, prompt, answer)
            for row, prompt, answer in zip(rows, prompts, written, strict=True)
        ]
        device = batch["input_ids"].device
        return {name: value.to(device) for name, value in self.collator(own).items()}

    def _write(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        seeds: Sequence[int],
        *,
        together: bool,
    ) -> list[list[int]]:
        from transformers import GenerationConfig

        width = max(map(len, prompts))
        padded = [[self.pad_id] * (width - len(ids)) + list(ids) for ids in prompts]
        ids_BT = torch.tensor(padded, device=model.device)
        lengths_B1 = torch.tensor([[len(ids)] for ids in prompts], device=model.device)
        mask_BT = torch.arange(width, device=model.device)[None] >= width - lengths_B1
        was_training = model.training
        model.eval()
        try:
            out_BT = model.generate(
                input_ids=ids_BT,
                attention_mask=mask_BT.long(),
                generation_config=GenerationConfig(
                    eos_token_id=list(self.ends) or None,
                    pad_token_id=self.pad_id,
                    max_new_tokens=max(limits),
                    do_sample=False,
                ),
                logits_processor=[
                    SeededSampler(seeds, temperature=1.0, top_p=1.0, device=model.device)
                ],
                stopping_criteria=[RowLimits(None, width, limits, ())],
                synced_gpus=together,
            )
        finally:
            model.train(was_training)
        rows = zip(out_BT[:, width:].tolist(), limits, strict=True)
        return [self._ended(ids[:limit]) for ids, limit in rows]

    def _ended(self, ids: list[int]) -> list[int]:
        """Up to the first end token, which belongs to the answer."""
        end = next((at + 1 for at, token in enumerate(ids) if token in self.ends), len(ids))
        return ids[:end]


class OnPolicyTrainer(DistillTrainer):
    """The same trainer, in some steps on answers of the student's own."""

    def __init__(
        self,
        *,
        writer: Writer,
        fraction: float,
        own_signal: TeacherSignal | None = None,
        **given: Any,
    ) -> None:
        """`own_signal`: what a teacher says of the student's words, if not the objective's own."""
        super().__init__(**given)
        self._writer = writer
        self._fraction = fraction
        self._given: Objective = self._objective
        loss = self._given.loss
        self._own = Objective(
            loss.model_copy(update={"ce": 0.0}),
            own_signal or self._given.signal,
            text_ce=loss.weight + loss.ce,
            hidden=self._given.hidden,
        )

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The batches of one optimiser step, rewritten where it is the student's turn."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        step = self.state.global_step
        own = is_own_step(step, self._fraction)
        self._objective = self._own if own else self._given
        if not own:
            return batches, items
        together = self.args.world_size > 1 and self.is_deepspeed_enabled
        with self.accelerator.autocast():
            batches = [
                self._writer.rewritten(self.model, batch, step, together=together)
                for batch in batches
            ]
        return batches, self._get_num_items_in_batch(batches, device)

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """On the answers that were given, whatever the step."""
        before, self._objective = self._objective, self._given
        try:
            return super().evaluate(*args, **options)
        finally:
            self._objective = before


def is_own_step(step: int, fraction: float) -> bool:
    """Whether the student writes in this step (from 0): evenly spread, so many of all steps."""
    return int((step + 1) * fraction + 1e-9) > int(step * fraction + 1e-9)


def _rows(batch: Mapping[str, Tensor]) -> list[EncodedRow]:
    """The rows of a batch again."""
    alone = unpacked(batch, torch.ones_like(batch["text_only"]))
    rows = []
    for at, length in enumerate(batch["lengths"].tolist()):
        ids_T, labels_T = (alone[name][at, :length].cpu() for name in ("input_ids", "labels"))
        key, text_only = int(batch["keys"][at]), bool(batch["text_only"][at])
        rows.append(EncodedRow(str(key), key, ids_T, labels_T, text_only))
    return rows


def _last_answer(row: EncodedRow) -> int:
    """Where the last answer begins; earlier ones of a conversation stay as they were given."""
    return int(row.labels_T.eq(IGNORED).nonzero()[-1]) + 1


def _answered(row: EncodedRow, prompt: list[int], answer: list[int]) -> EncodedRow:
    ids_T = torch.tensor([*prompt, *answer])
    labels_T = ids_T.clone()
    labels_T[: len(prompt)] = IGNORED
    return replace(row, input_ids_T=ids_T, labels_T=labels_T)
