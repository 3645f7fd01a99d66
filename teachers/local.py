"""A teacher that is a transformers model in this process.

Asks that wait at the same time are answered in one batch, in one worker thread; each answer depends
on its ask alone. The model is loaded at the first ask; importing this module imports no torch.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from teachers import effective
from teachers.config import LocalTeacher
from teachers.errors import ConfigError, MissingPackage, TeacherError
from teachers.keys import Keys
from teachers.local_classifier import LocalClassifier, is_classifier
from teachers.local_loading import need_bitsandbytes
from teachers.protocol import Answer, Ask, Usage

if TYPE_CHECKING:
    from teachers.local_model import Generated, LocalModel

    Loaded = LocalModel | LocalClassifier

GATHER_S = 0.003
"""Pause before a batch starts, so that asks started together travel together."""


@dataclass(slots=True)
class _Waiting:
    ask: Ask
    answer: asyncio.Future[Answer]
    ids: list[int] = field(default_factory=list)


class LocalAdapter:
    """Implements `teachers.protocol.Teacher` with a model of this process."""

    def __init__(self, config: LocalTeacher, name: str, *, source: str | None = None) -> None:
        chosen = source or config.model
        if chosen is None:
            raise ConfigError(f"teacher {name!r}: the student of {config.recipe} is not there yet")
        if config.quantize:
            # Told before anything is loaded or asked.
            need_bitsandbytes()
        self._config = config
        self._keys = Keys(config)
        self._name = name
        self._source: str = chosen
        self._model: Loaded | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"teacher-{name}")
        self._waiting: list[_Waiting] = []
        self._pump: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The name that the recipe gives this teacher."""
        return self._name

    async def ask(self, ask: Ask) -> Answer:
        """Answer one question, in a batch with the others that wait.

        Raises: TeacherError when this ask cannot be answered, ConfigError when the model cannot
            be loaded.
        """
        waiting = _Waiting(ask, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return await waiting.answer

    async def close(self) -> None:
        """Give back the model's memory and the worker thread."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._release)
        self._worker.shutdown(wait=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if len(self._waiting) < self._config.concurrency:
                await asyncio.sleep(GATHER_S)
            batch = self._take()
            try:
                results = await loop.run_in_executor(self._worker, self._answer, batch)
            except (ConfigError, MissingPackage, TeacherError) as exc:
                results = [exc] * len(batch)
            except Exception as exc:  # a failure inside torch must reach the asks, not this task
                failure = TeacherError("server", f"{self._source}: {type(exc).__name__}: {exc}")
                failure.__cause__ = exc
                results = [failure] * len(batch)
            for waiting, result in zip(batch, results, strict=True):
                _settle(waiting.answer, result)

    def _take(self) -> list[_Waiting]:
        """The next batch: the kind of the longest waiting ask, its neighbours in length first."""
        self._waiting = [w for w in self._waiting if not w.answer.cancelled()]
        if not self._waiting:
            return []
        first = self._waiting[0]
        alike = [w for w in self._waiting if self._kind(w.ask) == self._kind(first.ask)]
        rest = sorted(alike[1:], key=lambda w: abs(_length(w.ask) - _length(first.ask)))
        batch = [first, *rest[: self._config.concurrency - 1]]
        taken = {id(w) for w in batch}
        self._waiting = [w for w in self._waiting if id(w) not in taken]
        return batch

    def _kind(self, ask: Ask) -> tuple[object, ...]:
        """Asks with the same kind can share a batch."""
        if ask.choices is not None:
            return (ask.choices,)
        top = effective.top_logprobs(self._config, ask)
        return (effective.max_tokens(self._config, ask), top)

    def _answer(self, batch: list[_Waiting]) -> list[Answer | Exception]:
        if not batch:
            return []
        model = self._loaded()
        out: dict[int, Answer | Exception] = {}
        for at, waiting in enumerate(batch):
            turns = effective.messages(self._config, waiting.ask)
            waiting.ids = model.prompt_ids(turns)
            if model.context is not None and len(waiting.ids) >= model.context:
                out[at] = TeacherError(
                    "context_overflow",
                    f"the prompt has {len(waiting.ids)} tokens; the context of {self._source} is "
                    f"{model.context}",
                )
        fits = [at for at in range(len(batch)) if at not in out]
        if fits:
            asked = [batch[at] for at in fits]
            run: Callable[[Loaded, list[_Waiting]], list[Answer]]
            run = self._write if asked[0].ask.choices is None else self._choose
            out.update(zip(fits, run(model, asked), strict=True))
        return [out[at] for at in range(len(batch))]

    def _write(self, model: "Loaded", batch: list[_Waiting]) -> list[Answer]:
        ask = batch[0].ask
        written = model.generate(
            [w.ids for w in batch],
            max_tokens=effective.max_tokens(self._config, ask),
            temperature=self._config.temperature,
            top_p=self._config.top_p,
            seeds=[int(self._keys.key(w.ask)[:15], 16) for w in batch],
            stop=self._config.stop,
            top_logprobs=effective.top_logprobs(self._config, ask),
            batch=len(batch),
        )
        return [self._written(w, text) for w, text in zip(batch, written, strict=True)]

    def _written(self, waiting: _Waiting, written: "Generated") -> Answer:
        ended = 1 if written.finish == "stop" else 0
        return Answer(
            text=written.text,
            finish=written.finish,
            usage=Usage(len(waiting.ids), len(written.ids) + ended),
            model=self._source,
            logprobs=written.logprobs,
        )

    def _choose(self, model: "Loaded", batch: list[_Waiting]) -> list[Answer]:
        choices = batch[0].ask.choices or ()
        scored = model.choice_logp([w.ids for w in batch], choices)
        return [
            Answer(
                text=max(choices, key=logp.__getitem__),
                finish="stop",
                usage=Usage(len(w.ids), 1),
                model=self._source,
                choice_logp=logp,
            )
            for w, logp in zip(batch, scored, strict=True)
        ]

    def _loaded(self) -> "Loaded":
        if self._model is None:
            try:
                from teachers.local_model import LocalModel

                kind = LocalClassifier if is_classifier(self._source) else LocalModel
            except ImportError as exc:
                raise MissingPackage(
                    f"teacher {self._name!r} runs in this process and needs: "
                    "pip install 'distill-kit[train]'"
                ) from exc
            config = self._config
            self._model = kind.load(
                self._source,
                dtype=config.dtype,
                device_map=config.device_map,
                revision=config.revision,
                trust_remote_code=config.trust_remote_code,
                quantize=config.quantize,
                chat=config.chat,
            )
        return self._model

    def _release(self) -> None:
        if self._model is not None:
            self._model.release()
            self._model = None


def _length(ask: Ask) -> int:
    return sum(len(turn.content) for turn in ask.messages)


def _settle(answer: asyncio.Future[Answer], result: Answer | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
