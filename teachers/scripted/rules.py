"""What the scripted teacher says: pure functions of its configuration and one ask.

Every decision is a draw from SHA-256 over the messages and the sample index, so answers are the
same in process and over HTTP, today and tomorrow.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from teachers import effective
from teachers.check import without_corrections
from teachers.choices import match_choice
from teachers.config import ScriptedTeacher
from teachers.errors import TeacherError
from teachers.protocol import Answer, Ask, Finish, Message, Usage
from teachers.scripted.probabilities import choice_logp, token_logprobs

Outcome = Literal["answered", "refused", "malformed", "wrong"]

REFUSAL = "I'm sorry, but I can't help with that."
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_OPENERS = ("About", "Notes on", "A few words on", "In short,", "Regarding", "What matters is")


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers of one ask, by name."""

    seed: str

    def share(self, name: str) -> float:
        """A number in [0, 1), the same for the same ask and name."""
        found = hashlib.sha256(f"{self.seed}|{name}".encode()).digest()
        return int.from_bytes(found[:7], "big") / 2**56

    def pick(self, name: str, items: Sequence[Any]) -> Any:
        """One of the items."""
        return items[int(self.share(name) * len(items))]


def draws(ask: Ask) -> Draws:
    """The draws of an ask: by its messages and its sample index, nothing else."""
    parts = [[turn.role, turn.content] for turn in ask.messages]
    text = json.dumps([parts, ask.sample])
    return Draws(hashlib.sha256(text.encode()).hexdigest())


def tokens_of(text: str) -> list[str]:
    """The text in the pieces that this teacher counts as tokens."""
    return _TOKEN.findall(text)


def answer(config: ScriptedTeacher, ask: Ask) -> Answer:
    """The answer to an ask.

    Raises: TeacherError("parse") where the ask has choices and the text is none of them.
    """
    found = raw_answer(config, replace(ask, messages=effective.messages(config, ask)))[0]
    if ask.choices is None or found.finish != "stop":
        return found
    chosen = match_choice(found.text, ask.choices)
    if chosen is None:
        said = f"{found.text[:80]!r} is not one of: {', '.join(ask.choices)}"
        raise TeacherError("parse", said, None, found)
    return replace(found, text=chosen)


def raw_answer(config: ScriptedTeacher, ask: Ask) -> tuple[Answer, Outcome]:
    """The answer as it is written, whether it fits or not, and what was done to it."""
    luck = draws(ask)
    choices = ask.choices or (tuple(config.choices) if config.choices else None)
    right = _right(config, ask, choices, luck)
    outcome = _outcome(config, ask, right, choices, luck)
    text = {"refused": REFUSAL, "malformed": _malformed(right, ask)}.get(outcome, right)
    if outcome == "wrong":
        text = luck.pick("wrong", [choice for choice in choices or () if choice != right])
    return _written(config, ask, text, right, choices), outcome


def _outcome(
    config: ScriptedTeacher, ask: Ask, right: str, choices: Sequence[str] | None, luck: Draws
) -> Outcome:
    # One draw cut into shares: the shares are then what the configuration says, without overlap.
    draw = luck.share("outcome")
    if draw < config.refuse:
        return "refused"
    if draw < config.refuse + config.malformed:
        return "malformed" if choices or ask.schema is not None else "answered"
    other = bool(choices) and right in (choices or ()) and len(choices or ()) > 1
    return (
        "wrong" if other and draw < config.refuse + config.malformed + config.wrong else "answered"
    )


def _right(config: ScriptedTeacher, ask: Ask, choices: Sequence[str] | None, luck: Draws) -> str:
    """What the rules say, before any deliberate fault."""
    # A reminder repeats the choices; the question is what stood before it.
    last = without_corrections(ask.messages)[-1].content
    for number, rule in enumerate(config.script):
        hit = re.search(rule.when, last)
        if hit:
            return _filled(luck.pick(f"rule {number}", rule.answers), hit)
    if choices:
        return _named(last, choices) or str(luck.pick("choice", choices))
    if ask.schema is not None:
        return json.dumps(_instance(ask.schema, luck, "$"))
    return _sentence(last, luck)


def _filled(text: str, hit: "re.Match[str]") -> str:
    groups: dict[str, str | None] = {str(n): value for n, value in enumerate(hit.groups(), 1)}
    groups |= hit.groupdict()

    def group(mark: "re.Match[str]") -> str:
        return (groups[mark[1]] or "") if mark[1] in groups else mark[0]

    return re.sub(r"\{(\w+)\}", group, text)


def _named(text: str, choices: Sequence[str]) -> str | None:
    """The first choice all of whose words stand in the last part of the text."""
    last = re.split(r"\n\s*\n", text.strip())[-1]
    words = _words(last)
    return next((choice for choice in choices if _words(choice) <= words), None)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold().replace("_", " ")))


def _sentence(text: str, luck: Draws) -> str:
    """A short sentence of the prompt's own words, so that rows differ as their prompts do."""
    words = [word for word in _WORD.findall(text) if len(word) > 3] or ["nothing"]
    chosen = [luck.pick(f"word {n}", words) for n in range(6 + int(luck.share("length") * 6))]
    return f"{luck.pick('opener', _OPENERS)} {' '.join(chosen)}."


def _malformed(right: str, ask: Ask) -> str:
    """Something that is neither a choice nor valid JSON."""
    if ask.schema is not None:
        return (right[: len(right) // 2] or "{") + " ..."
    return "??? [unreadable]"


def _instance(schema: Mapping[str, Any], luck: Draws, path: str) -> Any:
    """A value that fits the usual parts of JSON Schema."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return luck.pick(path, schema["enum"])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: _instance(part, luck, f"{path}.{name}") for name, part in parts.items()}
    if kind == "array":
        count = max(1, int(schema.get("minItems", 1)))
        part = schema.get("items") or {}
        return [_instance(part, luck, f"{path}[{n}]") for n in range(count)]
    low, high = schema.get("minimum", 0), schema.get("maximum", schema.get("minimum", 0) + 9)
    simple: dict[str, Any] = {
        "integer": int(low + luck.share(path) * (high - low + 1)),
        "number": round(low + luck.share(path) * (high - low), 3),
        "boolean": luck.share(path) < 0.5,
        "null": None,
    }
    return simple.get(kind, f"{path.rsplit('.', 1)[-1]} {int(luck.share(path) * 1000)}")


def _written(
    config: ScriptedTeacher, ask: Ask, text: str, right: str, choices: Sequence[str] | None
) -> Answer:
    """The text as a server would return it: cut at stops and at the token limit, and counted."""
    for stop in config.stop or ():
        text = text.split(stop, 1)[0]
    # A label is one token, as a server with single-token labels would have it.
    is_choice = choices is not None and text in choices
    pieces = [text] if is_choice else tokens_of(text)
    limit = effective.max_tokens(config, ask)
    finish: Finish = "length" if len(pieces) > limit else "stop"
    pieces = pieces[:limit]
    top = effective.top_logprobs(config, ask)
    odds = choice_logp(choices or (), right, config.wrong) if is_choice and top else None
    return Answer(
        text="".join(pieces),
        finish=finish,
        usage=Usage(_input_tokens(ask.messages), len(pieces)),
        model=config.model,
        logprobs=token_logprobs(pieces, top, draws(ask).share, odds) if top else None,
        choice_logp=odds,
    )


def _input_tokens(messages: Sequence[Message]) -> int:
    return sum(len(tokens_of(turn.content)) + 4 for turn in messages)
