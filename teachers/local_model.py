"""A transformers model in this process: writes answers, scores choices, gives hidden states.

Nothing here knows of recipes or rows. Prompts are token ids, made by `teachers.chat_format`.
Shapes: B rows, T tokens, V vocabulary, H hidden, N selected positions.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from teachers import chat_format
from teachers.errors import ConfigError, TeacherError
from teachers.local_loading import four_bit, load_pretrained
from teachers.local_sampling import RowLimits, SeededSampler, Step
from teachers.protocol import Finish, Message, TokenLogprob
from teachers.threads import fit_threads

_T = TypeVar("_T")
_U = TypeVar("_U")

BATCH_TOKENS, CPU_BATCH_TOKENS = 16_384, 4096
"""Tokens, padding included, of one scoring forward pass; halved when memory runs out. On a CPU a
larger batch falls out of the caches: 3,200 rows of 40 tokens took 1.6 times as long."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One written answer."""

    text: str
    ids: list[int]
    """Without the end token."""
    finish: Finish
    logprobs: tuple[TokenLogprob, ...] | None = None


class LocalModel:
    """A causal language model with its tokenizer; build it with `load`."""

    def __init__(self, model: Any, tokenizer: Any, *, source: str, chat: bool | None) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.source = source
        self.chat = chat_format.has_chat_template(tokenizer) if chat is None else chat
        self.end_ids = chat_format.end_ids(tokenizer, model.generation_config)
        self.context: int | None = getattr(model.config, "max_position_embeddings", None)
        pad = tokenizer.pad_token_id
        self._pad = pad if pad is not None else next(iter(self.end_ids), 0)
        # The checkpoint's own sampling settings would be merged into ours otherwise.
        model.generation_config = type(model.generation_config)(
            eos_token_id=list(self.end_ids) or None, pad_token_id=self._pad, do_sample=False
        )
        fit_threads(model.num_parameters())
        self.plain_head = _is_plain_head(model)

    @property
    def device(self) -> torch.device:
        """Where the inputs go."""
        return torch.device(self.model.device)

    @classmethod
    def load(
        cls,
        source: str,
        *,
        dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto",
        device_map: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        quantize: Literal["4bit"] | None = None,
        chat: bool | None = None,
    ) -> "LocalModel":
        """The model and tokenizer of a folder or hub id, ready to be asked.

        Raises: ConfigError when it cannot be loaded, MissingPackage when an extra is missing.
        """
        shared = {"revision": revision, "trust_remote_code": trust_remote_code}
        options = {"dtype": dtype, "use_safetensors": True, "device_map": device_map}
        if quantize == "4bit":
            options["quantization_config"] = four_bit()
        model, tokenizer = load_pretrained(source, shared | options, shared)
        if device_map is None and quantize is None and torch.cuda.is_available():
            model = model.to("cuda")
        if chat and not chat_format.has_chat_template(tokenizer):
            raise ConfigError(
                f"{source}: `chat: true`, but its tokenizer has no chat template; use `chat: false`"
            )
        return cls(model, tokenizer, source=source, chat=chat)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids after which the model writes its answer."""
        return chat_format.prompt_ids(self.tokenizer, messages, self.chat)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_tokens: int,
        temperature: float,
        top_p: float,
        seeds: Sequence[int],
        stop: Sequence[str] | None = None,
        top_logprobs: int = 0,
        batch: int = 32,
    ) -> list[Generated]:
        """One answer per prompt, in order; it depends on prompt and seed, not on the batch."""

        def run(rows: Sequence[int]) -> list[Generated]:
            return self._generate(
                [prompts[row] for row in rows],
                [seeds[row] for row in rows],
                max_tokens=max_tokens,
                sampling={"temperature": temperature, "top_p": top_p, "top_logprobs": top_logprobs},
                stop=tuple(stop or ()),
            )

        out: dict[int, Generated] = {}
        room = [self._room(prompt, max_tokens) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        out.update({row: Generated("", [], "length") for row in order if room[row] == 0})
        fits = [row for row in order if room[row] > 0]
        for at in range(0, len(fits), batch):
            rows = fits[at : at + batch]
            out.update(zip(rows, _halving(run, rows), strict=True))
        return [out[row] for row in range(len(prompts))]

    def choice_logp(
        self, prompts: Sequence[Sequence[int]], choices: Sequence[str]
    ) -> list[dict[str, float]]:
        """Per prompt the normalised log-probability of every choice, from its mean per token.

        Where every choice is one token, that token alone counts. Otherwise the end of the turn
        counts too in a chat, so that a choice that begins another one is told apart from it.
        """
        written = [
            chat_format.answer_ids(self.tokenizer, choice, chat=self.chat, ends=self.end_ids)
            for choice in choices
        ]
        bare = [_without_end(ids, self.end_ids) for ids in written]
        if all(len(ids) == 1 for ids in bare) and len({ids[0] for ids in bare}) == len(bare):
            scores = self._next_token_logp(prompts, [ids[0] for ids in bare])
        else:
            pairs = [(prompt, ids) for prompt in prompts for ids in written]
            flat = self._mean_logp(pairs)
            width = len(choices)
            scores = [flat[at : at + width] for at in range(0, len(flat), width)]
        logp = torch.log_softmax(torch.tensor(scores, dtype=torch.float64), dim=-1).tolist()
        return [dict(zip(choices, row, strict=True)) for row in logp]

    def hidden(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """The hidden states that go into the head.

        Shapes: (B, T) in, (B, T, H) out.
        """
        self._need_plain_head()
        return self._hidden(input_ids_BT, attention_mask_BT)

    def project(self, hidden_NH: Tensor) -> Tensor:
        """The logits of hidden states.

        Shapes: (N, H) in, (N, V) out; V is the head's width, padding columns included.
        """
        self._need_plain_head()
        logits: Tensor = self.model.get_output_embeddings()(hidden_NH)
        return logits

    def release(self) -> None:
        """Give the memory back; the model cannot be used afterwards."""
        self.model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _need_plain_head(self) -> None:
        if not self.plain_head:
            raise ConfigError(
                f"{self.source} ({type(self.model).__name__}): its logits are not its output layer "
                "applied to its last hidden states (a soft cap or a scale follows), so it cannot "
                "give token probabilities for training; use it with `signal: text`"
            )

    def _hidden(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        out = self.model.base_model(
            input_ids=input_ids_BT, attention_mask=attention_mask_BT, use_cache=False
        )
        states: Tensor = out[0]
        return states

    def _logits_at(self, ids: Sequence[Sequence[int]], keep: Sequence[Sequence[int]]) -> Tensor:
        """Float32 logits at the kept positions of every row, one after another: (N, V)."""
        input_ids_BT, mask_BT = _right_padded(ids, self._pad, self.device)
        rows = [row for row, at in enumerate(keep) for _ in at]
        columns = [column for at in keep for column in at]
        if self.plain_head:
            states_BTH = self._hidden(input_ids_BT, mask_BT)
            return self.project(states_BTH[rows, columns]).float()
        out = self.model(input_ids=input_ids_BT, attention_mask=mask_BT, use_cache=False)
        logits_NV: Tensor = out.logits[rows, columns].float()
        return logits_NV

    @torch.no_grad()
    def _next_token_logp(
        self, prompts: Sequence[Sequence[int]], tokens: Sequence[int]
    ) -> list[list[float]]:
        def run(batch: Sequence[int]) -> list[list[float]]:
            ids = [prompts[row] for row in batch]
            logits_NV = self._logits_at(ids, [[len(prompt) - 1] for prompt in ids])
            logp: list[list[float]] = torch.log_softmax(logits_NV, dim=-1)[:, list(tokens)].tolist()
            return logp

        return self._scored([len(prompt) for prompt in prompts], run)

    @torch.no_grad()
    def _mean_logp(self, pairs: Sequence[tuple[Sequence[int], list[int]]]) -> list[float]:
        def run(batch: Sequence[int]) -> list[float]:
            ids = [[*pairs[row][0], *pairs[row][1]] for row in batch]
            keep = [range(len(pairs[row][0]) - 1, len(ids[at]) - 1) for at, row in enumerate(batch)]
            logp_NV = torch.log_softmax(self._logits_at(ids, keep), dim=-1)
            targets = [token for row in batch for token in pairs[row][1]]
            written_N = torch.tensor(targets, device=logp_NV.device)[:, None]
            parts = torch.split(logp_NV.gather(-1, written_N)[:, 0], [len(at) for at in keep])
            return [float(part.mean()) for part in parts]

        return self._scored([len(prompt) + len(ids) for prompt, ids in pairs], run)

    def _scored(self, lengths: Sequence[int], run: Callable[[Sequence[int]], list[_U]]) -> list[_U]:
        longest = max(lengths, default=0)
        if self.context is not None and longest > self.context:
            raise TeacherError(
                "context_overflow",
                f"{longest} tokens do not fit the context of {self.source} ({self.context})",
            )
        out: dict[int, _U] = {}
        limit = CPU_BATCH_TOKENS if self.device.type == "cpu" else BATCH_TOKENS
        for batch in _by_tokens(lengths, limit):
            out.update(zip(batch, _halving(run, batch), strict=True))
        return [out[row] for row in range(len(lengths))]

    def _room(self, prompt: Sequence[int], max_tokens: int) -> int:
        if self.context is None:
            return max_tokens
        return max(0, min(max_tokens, self.context - len(prompt)))

    @torch.no_grad()
    def _generate(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        *,
        max_tokens: int,
        sampling: dict[str, Any],
        stop: tuple[str, ...],
    ) -> list[Generated]:
        limits = [self._room(prompt, max_tokens) for prompt in prompts]
        input_ids_BT, mask_BT = _left_padded(prompts, self._pad, self.device)
        start = input_ids_BT.shape[1]
        sampler = SeededSampler(seeds, device=self.device, **sampling)
        out_BT = self.model.generate(
            input_ids=input_ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=max(limits),
            logits_processor=[sampler],
            stopping_criteria=[RowLimits(self.tokenizer, start, limits, stop)],
        )
        written = out_BT[:, start:].tolist()
        return [
            self._finished(ids[:limit], stop, sampler.steps, row)
            for row, (ids, limit) in enumerate(zip(written, limits, strict=True))
        ]

    def _finished(
        self, ids: list[int], stop: tuple[str, ...], steps: list[Step], row: int
    ) -> Generated:
        end = next((at for at, token in enumerate(ids) if token in self.end_ids), None)
        kept = ids if end is None else ids[:end]
        text = chat_format.completion_text(self.tokenizer, kept)
        cuts = [at for mark in stop if (at := text.find(mark)) >= 0]
        answer = Generated(text, kept, "length" if end is None else "stop")
        if cuts:
            # Tokens that the batch made this row write after its stop string are not its answer.
            kept = self._up_to_stop(kept, stop)
            answer = Generated(text[: min(cuts)], kept, "stop")
        if not steps:
            return answer
        return replace(answer, logprobs=self._logprobs(steps[: len(answer.ids)], row))

    def _up_to_stop(self, ids: list[int], stop: tuple[str, ...]) -> list[int]:
        low, high = 1, len(ids)
        while low < high:
            middle = (low + high) // 2
            text = chat_format.completion_text(self.tokenizer, ids[:middle])
            low, high = (low, middle) if any(mark in text for mark in stop) else (middle + 1, high)
        return ids[:low]

    def _logprobs(self, steps: Sequence[Step], row: int) -> tuple[TokenLogprob, ...]:
        def text(token: int) -> str:
            return chat_format.completion_text(self.tokenizer, [token])

        return tuple(
            TokenLogprob(
                text(int(step.chosen_B[row])),
                float(step.chosen_logp_B[row]),
                tuple(
                    (text(token), logp)
                    for token, logp in zip(
                        step.top_ids_BK[row].tolist(), step.top_logp_BK[row].tolist(), strict=True
                    )
                ),
            )
            for step in steps
        )


@torch.no_grad()
def _is_plain_head(model: Any) -> bool:
    """Whether the logits are the output layer applied to the last hidden states, nothing more."""
    ids_BT = torch.arange(4, device=model.device)[None] % model.config.get_text_config().vocab_size
    try:
        states = model.base_model(input_ids=ids_BT, use_cache=False)[0]
        ours = model.get_output_embeddings()(states).float()
    except (TypeError, AttributeError, RuntimeError):
        return False
    theirs = model(input_ids=ids_BT, use_cache=False).logits.float()
    scale = float(theirs.abs().max())
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-3 * max(scale, 1e-3))


def _halving(run: Callable[[Sequence[_T]], list[_U]], rows: Sequence[_T]) -> list[_U]:
    """The results of all rows, in half batches and quarters where memory does not reach."""
    try:
        return run(rows)
    except (torch.OutOfMemoryError, RuntimeError) as exc:
        if not _out_of_memory(exc):
            raise
        if len(rows) == 1:
            raise TeacherError(
                "bad_request", f"not enough memory for one row alone: {exc}; shorten it"
            ) from exc
    # Outside the handler: the exception holds the frames, and with them the tensors.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    return _halving(run, rows[:middle]) + _halving(run, rows[middle:])


def _out_of_memory(exc: Exception) -> bool:
    text = str(exc)
    return isinstance(exc, torch.OutOfMemoryError) or "can't allocate memory" in text


def _by_tokens(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Rows of similar length together, each batch within the token budget."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if batch and lengths[row] * (len(batch) + 1) > limit:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _without_end(ids: list[int], ends: Sequence[int]) -> list[int]:
    return ids[:-1] if len(ids) > 1 and ids[-1] in ends else ids


def _right_padded(
    ids: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in ids)
    rows = torch.tensor([[*row, *[pad] * (width - len(row))] for row in ids])
    mask = torch.arange(width)[None] < torch.tensor([len(row) for row in ids])[:, None]
    return rows.to(device), mask.long().to(device)


def _left_padded(
    ids: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    width = max(len(row) for row in ids)
    rows = torch.tensor([[*[pad] * (width - len(row)), *row] for row in ids])
    mask = torch.arange(width)[None] >= width - torch.tensor([len(row) for row in ids])[:, None]
    return rows.to(device), mask.long().to(device)
