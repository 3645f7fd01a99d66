"""Signals from answers that an API has written: its log-probabilities of the tokens it wrote.

They are used where the API's tokens are the student's, byte by byte. In a row where one is not,
only allowed answers and digits that are one token on both sides are told, as a distribution over
such answers; everything else counts as text. An alternative that is several tokens of the student
counts for the first of them where that one is told (of 1 and 10, the 1 comes first in both), else
it falls to the tail. Where the API does not tell the token that ends an answer, its support is
empty. Nothing is asked here.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from distill.capture.result import Captured, captured
from distill.errors import Problem, RecipeError
from distill.progress import Listener, Progress
from distill.rows.row import digest
from distill.signals.cache import CacheWriter
from distill.signals.consistency import GoldTally
from distill.signals.identity import Identity
from distill.signals.pieces import ids_by_bytes, piece_bytes
from distill.signals.settings import CaptureSettings
from distill.signals.types import Signal, SignalRow, TextOnly, TokenLogp, from_lists
from distill.signals.vocabulary import fingerprint
from teachers.chat_format import completion_ids
from teachers.protocol import TokenLogprob

COMMIT_ROWS = 256
NOT_TOLD = float("nan")
OTHER_TOKENS = "the API cuts the answer into other tokens than the student"


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A row, and what the store says of the answer in it."""

    row: SignalRow
    logprobs: Sequence[TokenLogprob] | None


class ApiReader:
    """Reads stored log-probabilities in a student's tokens."""

    def __init__(
        self, tokenizer: Any, settings: CaptureSettings, allowed: Sequence[str] = ()
    ) -> None:
        """`allowed`: the answers of a closed task."""
        self._settings = settings.checked()
        self._allowed = frozenset(allowed)
        self._tokenizer = tokenizer
        self._firsts: dict[bytes, int | None] = {}
        self._pieces = piece_bytes(tokenizer)
        self._ids = {} if self._pieces is None else ids_by_bytes(self._pieces, tokenizer)
        # Some servers tell the token that ends an answer too, and it may be an alternative.
        self._special = {
            at: token.content.encode()
            for at, token in tokenizer.added_tokens_decoder.items()
            if token.special
        }
        self._ids = {text: at for at, text in self._special.items()} | self._ids

    def signal(self, row: SignalRow, logprobs: Sequence[TokenLogprob] | None) -> Signal:
        """What the answer's log-probabilities say of the row's tokens, or why it is text only."""
        positions = len(row.positions_N)
        if logprobs is None:
            return TextOnly(positions, "the answer was stored without log-probabilities")
        if self._pieces is None:
            return TextOnly(positions, "the student's pieces do not join back to the text")
        gold = row.gold_N.tolist()
        texts = [self._pieces[at] if at < len(self._pieces) else None for at in gold]
        if gold[-1] in self._special and len(texts) == len(logprobs):
            texts[-1] = self._special[gold[-1]]
        closed = texts[-1] is None
        written = texts[:-1] if closed else texts
        lead = self._lead(written, logprobs)
        why = _unlike(written, logprobs, lead)
        if why == OTHER_TOKENS and self._settings.kind == "topk":
            return self._answers_alone(written, logprobs, lead, gold)
        if why is not None:
            return TextOnly(positions, why)
        if self._settings.kind == "token":
            gold_logp = [one.logp for one in logprobs] + [NOT_TOLD] * closed
            return TokenLogp(np.asarray(gold_logp, np.float32))
        told = [
            self._support(one, at, lead if place == 0 else b"")
            for place, (one, at) in enumerate(zip(logprobs, gold, strict=False))
        ] + [_UNTOLD] * closed
        return from_lists([one.gold_logp for one in told], [one.entries for one in told])

    def _answers_alone(
        self,
        written: Sequence[bytes | None],
        logprobs: Sequence[TokenLogprob],
        lead: bytes,
        gold: Sequence[int],
    ) -> Signal:
        """The positions of answers and digits that begin and end where the API's token does."""
        ours = _spans([text or b"" for text in written])
        told = [one.token.encode() for one in logprobs]
        theirs = _spans([lead + told[0], *told[1:]])
        at_span = {span: at for at, span in enumerate(theirs)}
        supports = [_UNTOLD] * len(gold)
        for place, span in enumerate(ours):
            at = at_span.get(span)
            if at is None or not self._is_answer(logprobs[at].token, logprobs[at].token):
                continue
            supports[place] = self._support(
                logprobs[at], gold[place], lead if at == 0 else b"", self._is_answer
            )
        if not any(one.entries for one in supports):
            return TextOnly(len(gold), OTHER_TOKENS)
        return from_lists([one.gold_logp for one in supports], [one.entries for one in supports])

    def _is_answer(self, text: str, beside: str) -> bool:
        """Whether a token is an allowed answer, or digits where the written one is."""
        word, like = text.strip(), beside.strip()
        if text[: len(text) - len(text.lstrip())] != beside[: len(beside) - len(beside.lstrip())]:
            return False  # another space in front makes another token of it
        return word in self._allowed or (word.isdecimal() and like.isdecimal())

    def _lead(self, written: Sequence[bytes | None], logprobs: Sequence[TokenLogprob]) -> bytes:
        """The space that some tokenizers put in front of a text, which the API did not write."""
        if not written or not logprobs or written[0] is None:
            return b""
        return b" " if written[0] == b" " + logprobs[0].token.encode() else b""

    def _support(
        self,
        told: TokenLogprob,
        gold: int,
        lead: bytes,
        kept: Callable[[str, str], bool] = lambda text, beside: True,
    ) -> "_Support":
        """The alternatives in the student's tokens, the written one under its own id.

        `kept` says of an alternative and the written token whether it has a place of its own.
        """
        written = told.token.encode()
        found: dict[int, float] = {gold: told.logp}
        longer: list[tuple[bytes, float]] = []
        for text, logp in told.top:
            content = text.encode()
            if content == written or "\ufffd" in text:
                continue
            at = self._ids.get(lead + content)
            if at is None:
                longer.append((lead + content, logp))
            elif at not in found and kept(text, told.token):
                found[at] = logp
        for content, logp in longer:
            if (first := self._first(content)) in found:
                found[first] = _log_sum(found[first], logp)
        ranked = sorted(found.items(), key=lambda one: (-one[1], one[0]))
        return _Support(found[gold], ranked[: self._settings.k])

    def _first(self, content: bytes) -> int | None:
        """The student's token that this text begins with; None where its tokens are not it."""
        if content not in self._firsts:
            ids = completion_ids(self._tokenizer, content.decode())
            pieces = self._pieces or []
            texts = [pieces[at] if at < len(pieces) else None for at in ids]
            same = bool(ids) and b"".join(text or b"" for text in texts) == content
            self._firsts[content] = ids[0] if same else None
        return self._firsts[content]


class _Support(NamedTuple):
    """What is told of one position."""

    gold_logp: float
    entries: Sequence[tuple[int, float]]


_UNTOLD = _Support(NOT_TOLD, ())


def capture_answers(
    answers: Sequence[StoredAnswer],
    teacher: str,
    tokenizer: Any,
    settings: CaptureSettings,
    folder: Path | str,
    listen: Listener,
    allowed: Sequence[str] = (),
) -> Captured:
    """Fill the cache from stored answers; text-only rows are kept as such, and counted by reason.

    Args:
        answers: With their rows in the student's tokens.
        teacher: The model that the answers say wrote them; part of every key.
        tokenizer: Of the student.
        settings: What is kept; temperature 1 only.
        folder: The cache; made when it is not there.
        listen: Is told now and then.
        allowed: The answers of a closed task: where they are one token on both sides, they are
            told also in rows that the API cuts into other tokens.

    Raises: RecipeError, DataError, RunError.
    """
    identity = remote_identity(teacher, tokenizer, settings, allowed)
    reader = ApiReader(tokenizer, settings, allowed)
    wanted = [one for one in answers if len(one.row.positions_N)]
    reasons: Counter[str] = Counter()
    tally = GoldTally(identity.vocabulary)
    stored = 0
    with CacheWriter(folder, identity) as writer:
        for done, one in enumerate(wanted, start=1):
            signal = reader.signal(one.row, one.logprobs)
            if isinstance(signal, TextOnly):
                reasons[signal.reason] += 1
            if one.row in writer:
                stored += 1
            else:
                writer.add(one.row, signal)
                tally.add([signal])
            if done % COMMIT_ROWS == 0:
                writer.commit()
                listen(Progress("signals", done, len(wanted)))
    listen(Progress("signals", len(wanted), len(wanted)))
    loss = tally.loss()
    return captured(
        str(folder), rows=len(wanted), stored=stored, loss=loss, text_only=dict(reasons)
    )


def remote_identity(
    teacher: str, tokenizer: Any, settings: CaptureSettings, allowed: Sequence[str] = ()
) -> Identity:
    """Whose signals these would be: a remote model is known by its name alone.

    Raises: RecipeError when the settings ask for what a remote teacher does not tell.
    """
    problem = None
    if settings.kind == "sampled":
        problem = Problem(
            key="train.signal.kind",
            found="a remote teacher tells its likeliest tokens, not draws",
            allowed="topk, token",
        )
    elif settings.temperatures:
        problem = Problem(
            key="train.loss.temperature",
            found="a remote teacher's tail is known at temperature 1 only",
            allowed="1.0",
        )
    if problem is not None:
        raise RecipeError(str(problem), [problem])
    return Identity(
        teacher=teacher,
        teacher_fingerprint=f"remote:{teacher}" + (digest(sorted(allowed)) if allowed else ""),
        tokenizer_fingerprint=fingerprint(tokenizer),
        vocabulary=max(tokenizer.get_vocab().values()) + 1,
        settings=settings.checked(),
    )


def _log_sum(one: float, other: float) -> float:
    """log(exp(one) + exp(other)), at most 0: servers round what they print."""
    high, low = max(one, other), min(one, other)
    return min(high + math.log1p(math.exp(low - high)), 0.0)


def _spans(texts: Sequence[bytes]) -> list[tuple[int, int]]:
    """Where each token begins and ends in the bytes of the answer."""
    ends = list(accumulate(map(len, texts), initial=0))
    return list(pairwise(ends))


def _unlike(
    written: Sequence[bytes | None], logprobs: Sequence[TokenLogprob], lead: bytes
) -> str | None:
    """Why the API's tokens are not the student's, or None where they are."""
    told = [one.token.encode() for one in logprobs]
    if told:
        told[0] = lead + told[0]
    if any("\ufffd" in one.token for one in logprobs):
        return "the API wrote part of a character, whose bytes it does not tell"
    if None in written:
        return "the row holds special tokens inside its answer"
    if list(written) == told:
        return None
    ours = b"".join(text for text in written if text is not None)
    if ours == b"".join(told):
        return OTHER_TOKENS
    return "the row's text is not the answer as the API wrote it"
