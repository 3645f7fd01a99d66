"""Capture from a server that scores prompts: vLLM's `/v1/completions` with `prompt_logprobs`.

A row is sent as token ids and comes back with the likeliest tokens of every position: None for the
first one, K entries for each other, or K + 1 where the written token is not among them. The one
token that the server insists on writing is thrown away. aiohttp only; no torch.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from distill.capture.api import remote_identity
from distill.capture.metering import Meter
from distill.capture.result import Captured, captured
from distill.errors import DataError, Problem, RecipeError, RunError
from distill.progress import Listener, Progress
from distill.signals.cache import CacheWriter
from distill.signals.consistency import GoldTally, gold_loss, refuse_ignorant
from distill.signals.settings import CaptureSettings
from distill.signals.types import Signal, SignalRow, TokenLogp, from_lists

IMPOSSIBLE = -9000.0
"""The server writes -9999 for a probability of 0: JSON has no infinity."""
AT_ONCE = 256
FIRST = 32
"""Rows after which the server's tokens and its knowledge are looked at; nothing is kept before."""
RETRIES = 4
LEAST_COMPARED = 20


@dataclass(frozen=True, slots=True)
class PromptServer:
    """Where prompts are scored."""

    base_url: str
    """With its version: http://host:8000/v1."""
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 8
    others: tuple[str, ...] = ()
    """More addresses of the same model, asked in turn."""
    identity: str | None = None
    """What stands behind the address, where the model's name does not say it."""
    timeout_s: float = 300.0
    retry_s: float = 1.0
    """Before the first retry; doubled for each one more."""


async def capture_served(
    rows: Sequence[SignalRow],
    server: PromptServer,
    tokenizer: Any,
    settings: CaptureSettings,
    folder: Path | str,
    listen: Listener,
    *,
    meter: Meter | None = None,
) -> Captured:
    """Fill the cache with every row that it does not hold yet, many requests at a time.

    A row is kept as soon as it is answered; what a failure or the cap cuts off goes on from there.

    Raises: RecipeError when the server's tokens are not the tokenizer's, when it refuses so many
    log-probabilities, or is no better than a guess; RunError when it cannot be reached;
    BudgetReached at the meter's cap.
    """
    identity = remote_identity(server.identity or server.model, tokenizer, settings)
    wanted = [row for row in rows if len(row.positions_N)]
    tally = GoldTally(identity.vocabulary)
    timeout = aiohttp.ClientTimeout(total=server.timeout_s)
    with CacheWriter(folder, identity) as writer:
        missing = list({identity.key(row): row for row in wanted if row not in writer}.values())
        stored = len(wanted) - len(missing)
        async with aiohttp.ClientSession(headers=dict(server.headers), timeout=timeout) as session:
            client = _Client(session, server, tokenizer, settings, meter)
            first, rest = missing[:FIRST], missing[FIRST:]
            signals: list[tuple[SignalRow, Signal]] = []

            def keep(row: SignalRow, signal: Signal) -> None:
                writer.add(row, signal)
                tally.add([signal])

            try:
                await _all(client, first, lambda row, signal: signals.append((row, signal)))
            finally:
                client.need_same_tokens()
                told = [signal for _, signal in signals]
                refuse_ignorant(server.model, gold_loss(told, identity.vocabulary))
                for row, signal in signals:
                    keep(row, signal)
            for start in range(0, len(rest), AT_ONCE):
                await _all(client, rest[start : start + AT_ONCE], keep)
                writer.commit()
                listen(Progress("signals", stored + tally.signals, len(wanted)))
    loss = tally.loss()
    return captured(str(folder), rows=len(wanted), stored=stored, loss=loss)


async def score_tokens(
    rows: Sequence[SignalRow], server: PromptServer, tokenizer: Any, *, meter: Meter | None = None
) -> list[TokenLogp]:
    """The log-probability of each supervised token, row by row; nothing is kept.

    Raises: as `capture_served`.
    """
    settings = CaptureSettings(kind="token", codec="raw")
    timeout = aiohttp.ClientTimeout(total=server.timeout_s)
    found: dict[str, TokenLogp] = {}

    def keep(row: SignalRow, signal: Signal) -> None:
        assert isinstance(signal, TokenLogp)
        found[row.id] = signal

    async with aiohttp.ClientSession(headers=dict(server.headers), timeout=timeout) as session:
        client = _Client(session, server, tokenizer, settings, meter)
        await _all(client, rows, keep)
    client.need_same_tokens()
    return [found[row.id] for row in rows]


async def _all(
    client: "_Client", rows: Sequence[SignalRow], keep: Callable[[SignalRow, Signal], None]
) -> None:
    """Asks about the rows and keeps what comes as it comes.

    After the first failure nothing more is sent; what is on its way is waited for and kept.
    """

    async def one(row: SignalRow) -> None:
        keep(row, await client.signal(row))

    tasks = [asyncio.create_task(one(row)) for row in rows]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            over = [task for task in tasks if task.done() and not task.cancelled()]
            client.stopped = any(task.exception() for task in over)
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Client:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: PromptServer,
        tokenizer: Any,
        settings: CaptureSettings,
        meter: Meter | None,
    ) -> None:
        self._session = session
        self._meter = meter
        self.stopped = False
        self._urls = itertools.cycle((server.base_url, *server.others))
        self._server = server
        self._tokenizer = tokenizer
        self._settings = settings
        self._turn = asyncio.Semaphore(server.concurrency)
        self._compared = 0
        self._unlike: list[str] = []
        self._comparing = True

    async def signal(self, row: SignalRow) -> Signal:
        """What the server says of the row's supervised tokens."""
        ids = row.ids_T.tolist()
        asked = 0 if self._settings.kind == "token" else self._settings.k
        body = {
            "model": self._server.model,
            "prompt": ids,
            "max_tokens": 1,
            "temperature": 1.0,
            "prompt_logprobs": asked,
        }
        async with self._turn:
            if self.stopped:
                raise asyncio.CancelledError
            answer = await self._paid(body, row)
        found = _positions(answer, row)
        gold_logp, entries = [], []
        for at in row.positions_N.tolist():
            told = found[at]
            self._compare(ids[at], told[ids[at]])
            gold_logp.append(float(told[ids[at]]["logprob"]))
            entries.append(self._support(told))
        if self._settings.kind == "token":
            return TokenLogp(np.asarray(gold_logp, np.float32))
        return from_lists(gold_logp, entries)

    def need_same_tokens(self) -> None:
        """Nothing, where the server reads the ids as the same texts.

        Raises: RecipeError. A size alone would prove nothing.
        """
        self._comparing = False
        if self._compared < LEAST_COMPARED or len(self._unlike) <= self._compared / 10:
            return
        problem = Problem(
            key="train.signal",
            found=f"{self._server.model} reads {len(self._unlike)} of {self._compared} ids as "
            f"other texts than the student's tokenizer, first {self._unlike[0]}",
            allowed="a teacher and a student with one tokenizer",
            fix="Take a student of the teacher's family, or train with `signal: text`.",
        )
        raise RecipeError("teacher and student do not share a vocabulary", [problem])

    def _support(self, told: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, float]]:
        """The likeliest tokens: at most k, with `top_p` only as many as hold that mass."""
        ranked = sorted(
            ((at, float(one["logprob"])) for at, one in told.items()),
            key=lambda one: (-one[1], one[0]),
        )
        ranked = [one for one in ranked[: self._settings.k] if one[1] > IMPOSSIBLE]
        if self._settings.top_p is None:
            return ranked
        kept, mass = 0, 0.0
        for _, logp in ranked:
            if kept >= self._settings.min_k and mass >= self._settings.top_p:
                break
            kept += 1
            mass += math.exp(logp)
        return ranked[:kept]

    def _compare(self, at: int, told: Mapping[str, Any]) -> None:
        text = told.get("decoded_token")
        if not self._comparing or text is None or "\ufffd" in text:
            return
        ours = self._tokenizer.decode([at], skip_special_tokens=False)
        self._compared += 1
        # Some tokenizers take the space in front of a lone token away, some do not.
        if ours.strip() != text.strip().replace("\u2581", " ").strip():
            self._unlike.append(f"{at}: {text!r}, not {ours!r}")

    async def _paid(self, body: Mapping[str, Any], row: SignalRow) -> Mapping[str, Any]:
        """The answer, reserved before it is asked for and settled when it is there."""
        if self._meter is None:
            return await self._post(body)
        tokens = len(row.ids_T)
        call = await self._meter.begin(f"signal:{row.id}", tokens)
        try:
            answer = await self._post(body)
        except (RecipeError, RunError):
            await self._meter.refused(call)
            raise
        except BaseException:
            self._meter.lost(call)
            raise
        await self._meter.answered(call, tokens)
        return answer

    async def _post(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        url = f"{next(self._urls).rstrip('/')}/completions"
        wait_s = self._server.retry_s
        for attempt in range(RETRIES + 1):
            try:
                async with self._session.post(url, json=body) as response:
                    text = await response.text()
                    if response.status == 200:
                        answer: Mapping[str, Any] = await response.json(content_type=None)
                        return answer
                    if response.status != 429 and response.status < 500:
                        raise self._refused(response.status, text)
                    why = f"status {response.status}: {text[:200]}"
            except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
                if isinstance(exc, RecipeError):
                    raise
                why = f"{type(exc).__name__} {exc}".strip()
            if attempt < RETRIES:
                await asyncio.sleep(wait_s)
                wait_s *= 2
        problem = Problem(
            file=url,
            found=f"no answer after {RETRIES + 1} attempts ({why}); what was kept is not lost",
            fix="Start the server again, then run the same command again.",
        )
        raise RunError(str(problem), [problem])

    def _refused(self, status: int, text: str) -> RecipeError:
        fix = "Look at the server's log."
        if "logprobs" in text:
            fix = (
                f"Start the server with `--max-logprobs {self._settings.k}` (its default is 20), "
                "or set train.signal.k to what it allows."
            )
        elif "maximum context length" in text or "max_model_len" in text:
            fix = "Start it with a longer --max-model-len, or lower train.max_length."
        problem = Problem(
            key="train.signal",
            found=f"{self._server.base_url} refuses to score a prompt ({status}): {text[:300]}",
            fix=fix,
        )
        return RecipeError(str(problem), [problem])


def _positions(answer: Mapping[str, Any], row: SignalRow) -> list[dict[int, Any]]:
    """By token, what was said of it: {id: {logprob, rank, decoded_token}}.

    Raises: DataError when the answer does not speak of the row's own tokens.
    """
    try:
        given = answer["choices"][0]["prompt_logprobs"]
        if given is None:
            raise _strange(row, "it holds no `prompt_logprobs`: is this a vLLM server?")
        if len(given) != len(row.ids_T):
            raise _strange(row, f"it speaks of {len(given)} tokens; {len(row.ids_T)} were sent")
        found = [{int(at): one for at, one in (told or {}).items()} for told in given]
        for at in row.positions_N.tolist():
            if int(row.ids_T[at]) not in found[at]:
                raise _strange(row, f"token {at} is not among what it says of that place")
    except (KeyError, IndexError, TypeError, AttributeError) as exc:
        raise _strange(row, f"its shape is not that of the API ({exc!r})") from exc
    return found


def _strange(row: SignalRow, what: str) -> DataError:
    problem = Problem(key=row.id, found=f"the server's answer for row {row.id}: {what}")
    return DataError(str(problem), [problem])
