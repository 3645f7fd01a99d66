"""How a local model draws its answers: one random stream per row, whatever stands in the batch.

Both classes plug into `transformers` generation with `do_sample=False`: the argmax of
logits / temperature + Gumbel noise is a draw from the softmax, so each row's answer follows from
its own seed alone. Shapes: B rows, T tokens, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from teachers import chat_format

_STOP_TAIL = 24
"""Tokens from the end in which a freshly written stop string must begin."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one generation step looked like before any noise, for log-probabilities."""

    chosen_B: Tensor
    chosen_logp_B: Tensor
    top_ids_BK: Tensor
    top_logp_BK: Tensor


class SeededSampler:
    """A logits processor that adds each row's own noise; temperature 0 leaves the argmax alone."""

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        temperature: float,
        top_p: float,
        device: torch.device,
        top_logprobs: int = 0,
    ) -> None:
        self._streams = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p
        self._top_logprobs = top_logprobs
        self.steps: list[Step] = []

    def __call__(self, input_ids_BT: Tensor, scores_BV: Tensor) -> Tensor:
        """The scores whose argmax is each row's next token."""
        drawn_BV = self._noisy(scores_BV) if self._temperature > 0 else scores_BV
        if self._top_logprobs:
            self.steps.append(self._step(scores_BV, drawn_BV))
        return drawn_BV

    def _noisy(self, scores_BV: Tensor) -> Tensor:
        logits_BV = scores_BV.float() / self._temperature
        if self._top_p < 1:
            logits_BV = _nucleus(logits_BV, self._top_p)
        noise_BV = torch.empty_like(logits_BV)
        for row_V, stream in zip(noise_BV, self._streams, strict=True):
            row_V.exponential_(generator=stream)
        return logits_BV - noise_BV.log()

    def _step(self, scores_BV: Tensor, drawn_BV: Tensor) -> Step:
        logp_BV = torch.log_softmax(scores_BV.float(), dim=-1)
        chosen_B = drawn_BV.argmax(dim=-1)
        top = logp_BV.topk(min(self._top_logprobs, logp_BV.shape[-1]), dim=-1)
        chosen_logp_B = logp_BV.gather(-1, chosen_B[:, None])[:, 0]
        return Step(chosen_B.cpu(), chosen_logp_B.cpu(), top.indices.cpu(), top.values.cpu())


class RowLimits:
    """A stopping criterion with each row's own token limit, and the stop strings."""

    def __init__(
        self, tokenizer: object, start: int, limits: Sequence[int], stop: Sequence[str]
    ) -> None:
        self._tokenizer = tokenizer
        self._start = start
        self._limits = limits
        self._stop = tuple(stop)

    def __call__(self, input_ids_BT: Tensor, scores: object, **_: object) -> Tensor:
        """Which rows are done."""
        written = input_ids_BT.shape[1] - self._start
        done = [written >= limit for limit in self._limits]
        if self._stop:
            tail = input_ids_BT[:, self._start :][:, -_STOP_TAIL:].tolist()
            for row, ids in enumerate(tail):
                text = chat_format.completion_text(self._tokenizer, ids)
                done[row] = done[row] or any(mark in text for mark in self._stop)
        return torch.tensor(done, device=input_ids_BT.device)


def _nucleus(logits_BV: Tensor, top_p: float) -> Tensor:
    """The smallest set of tokens that holds `top_p` of the mass; the rest is -inf."""
    ordered_BV, order_BV = logits_BV.sort(dim=-1, descending=True)
    p_BV = ordered_BV.softmax(dim=-1)
    # A token stays while the mass before it is under top_p, so the first one always stays.
    out_BV = p_BV.cumsum(dim=-1) - p_BV >= top_p
    return logits_BV.masked_fill(out_BV.gather(-1, order_BV.argsort(dim=-1)), float("-inf"))
