"""Preference distillation: direct preference optimisation against the student before its training.

loss of a pair = -log sigmoid(beta ((c - c0) - (r - r0))), c and r the log-probabilities of the
chosen and the rejected answer, c0 and r0 those that the student gave before the first step
(Rafailov et al. 2023, arXiv:2305.18290, equation 7). These are worked out once and kept in a file,
so there is no second model, and a continued training takes the very same numbers. Every row of an
optimiser step counts alike: a pair with its loss, a mixed-in row with its cross-entropy per token.
Shapes: S answers, P pairs, N supervised tokens.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn.functional import logsigmoid

from distill.losses.fused_loss import HeadTargets
from distill.recipe.training import ForwardKL, PreferenceOptions
from distill.rows.atomic import atomic_file
from distill.train.collate import IGNORED
from distill.train.fused_head import WrittenTokens, head_logp
from distill.train.trainer import DistillTrainer

REFERENCE_FILE = "reference.safetensors"


class Margins(NamedTuple):
    """What a batch says, before any division."""

    loss_P: Tensor
    margin_P: Tensor
    """beta times how much more the chosen answer gained; above 0 the pair is told right."""
    chosen_nll_P: Tensor
    """Cross-entropy per token of the chosen answer."""
    mixed_S: Tensor
    """Cross-entropy per token of each mixed-in row."""


class PreferenceTrainer(DistillTrainer):
    """The same trainer on pairs of answers."""

    sums_kept = 5

    def __init__(self, *, options: PreferenceOptions, folder: Path, **given: Any) -> None:
        super().__init__(**given)
        self._options = options
        self._path = folder / REFERENCE_FILE
        self._reference: dict[int, tuple[float, float]] | None = None
        self.pairs_measured = (0.0, 0)

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss, times the ranks that will average it."""
        self._test_once(model, inputs, _text_targets(inputs))
        found = self._margins(model, inputs)
        self._since_log += _sums(found)
        ce = self._options.ce * found.chosen_nll_P.sum()
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps
        # The mean over ranks of each one's mean is the mean over all rows: they have as many.
        loss = (found.loss_P.sum() + ce + found.mixed_S.sum()) / rows
        return (loss, {}) if return_outputs else loss

    def _margins(self, model: Any, inputs: Mapping[str, Tensor]) -> Margins:
        if self._reference is None:
            self._reference = self._reference_logp(model)
        return margins(_answers_logp(model, inputs), inputs, self._reference, self._options.beta)

    def _batch_sums(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        return _sums(self._margins(model, inputs))

    def _figures(self, sums_5: Tensor) -> dict[str, float]:
        """Over all ranks: loss and share of pairs told right, per pair."""
        loss, right, pairs, nll, margin = self.accelerator.reduce(
            sums_5.to(self.args.device)
        ).tolist()
        self.pairs_measured = (right, int(pairs))
        count = max(pairs, 1)
        return {
            "loss": (loss + self._options.ce * nll) / count,
            "pair_accuracy": right / count,
            "margin": margin / count,
            "chosen_nll": nll / count,
        }

    def _reference_logp(self, model: Any) -> dict[int, tuple[float, float]]:
        """Every pair's log-probabilities under the student as it is now, or as the file has them.

        Every rank reads its share; all ranks make as many forward passes.
        """
        if not self._path.is_file():
            found = self._read_all(model)
            if self.is_world_process_zero():
                _save(self._path, found)
            self.accelerator.wait_for_everyone()
        stored = load_file(self._path)
        pairs = zip(stored["keys_P"].tolist(), stored["logp_P2"].tolist(), strict=True)
        return {key: (chosen, rejected) for key, (chosen, rejected) in pairs}

    @torch.no_grad()
    def _read_all(self, model: Any) -> Tensor:
        """(P, 3): key, chosen, rejected of every pair of this training; some may come twice."""
        was_training = model.training
        model.eval()
        parts = []
        try:
            for batch in self._reference_batches():
                inputs = self._prepare_inputs(batch)
                logp_S = _answers_logp(model, inputs).double()
                chosen, rejected = inputs["sides"] == 0, inputs["sides"] == 1
                keys_P = inputs["keys"][chosen].double()
                parts.append(torch.stack([keys_P, logp_S[chosen], logp_S[rejected]], dim=1))
        finally:
            model.train(was_training)
        gathered: Tensor = self.accelerator.gather(torch.cat(parts))
        return gathered.cpu()

    def _reference_batches(self) -> Iterator[dict[str, Tensor]]:
        """This rank's pairs, as many on every rank: the last ones begin again from the first."""
        rows = [*self.train_dataset.own_rows, *(self.eval_dataset or ())]
        rows.sort(key=lambda row: (row.tokens, row.key))
        ranks = self.args.world_size
        rows += rows[: -len(rows) % ranks]
        mine = rows[self.args.process_index :: ranks]
        size = self.args.per_device_eval_batch_size
        for start in range(0, len(mine), size):
            yield self.data_collator(mine[start : start + size])


def margins(
    logp_S: Tensor,
    inputs: Mapping[str, Tensor],
    reference: Mapping[int, tuple[float, float]],
    beta: float,
) -> Margins:
    """The loss of every pair and of every mixed-in row.

    Shapes: log-probabilities (S,) of whole answers.
    Units: nats.
    Source: Rafailov et al. 2023, arXiv:2305.18290, equation 7.
    """
    told_S = inputs["counts"] > 0  # nothing is, in a batch that only keeps other ranks company
    chosen, rejected, mixed = ((inputs["sides"] == side) & told_S for side in (0, 1, 2))
    before = [reference[key] for key in inputs["keys"][chosen].tolist()]
    before_P2 = logp_S.new_tensor(before).reshape(-1, 2)
    gain_P = (logp_S[chosen] - before_P2[:, 0]) - (logp_S[rejected] - before_P2[:, 1])
    nll_S = -logp_S / inputs["counts"].clamp(min=1)
    return Margins(-logsigmoid(beta * gain_P), beta * gain_P, nll_S[chosen], nll_S[mixed])


def _answers_logp(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Log q of each whole answer: (S,)."""
    text = _text_targets(inputs)
    assert text.keep_BT is not None
    logp_N = head_logp(model, inputs, WrittenTokens(text.labels_N, text.keep_BT))
    counts_S = inputs["counts"]
    at_N = torch.arange(len(counts_S), device=logp_N.device).repeat_interleave(counts_S)
    return logp_N.new_zeros(len(counts_S)).index_add(0, at_N, logp_N)


def _text_targets(inputs: Mapping[str, Tensor]) -> HeadTargets:
    labels_LT = inputs["labels"][:, 1:]
    keep_LT = labels_LT != IGNORED
    return HeadTargets(labels_LT[keep_LT], ForwardKL(), keep_BT=keep_LT)


def _sums(found: Margins) -> Tensor:
    """Loss, pairs told right, pairs, cross-entropy of the chosen, margin; for the log."""
    margin_P = found.margin_P.detach().double()
    parts = [
        found.loss_P.detach().double().sum(),
        # Before the first step all margins are 0, up to rounding: half of them would be right.
        (margin_P > 0).sum() + 0.5 * (margin_P == 0).sum(),
        torch.tensor(float(len(margin_P))),
        found.chosen_nll_P.detach().double().sum(),
        margin_P.sum(),
    ]
    return torch.tensor([float(part) for part in parts], dtype=torch.float64)


def _save(path: Path, rows_P3: Tensor) -> None:
    kept = {int(key): [chosen, rejected] for key, chosen, rejected in rows_P3.tolist()}
    tensors = {
        "keys_P": torch.tensor(list(kept)),
        "logp_P2": torch.tensor(list(kept.values()), dtype=torch.float64),
    }
    with atomic_file(path, "wb") as file:
        file.write(save(tensors))
