"""The JSON of the OpenAI API: request bodies from asks, answers from response bodies; all pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from teachers import effective
from teachers.choices import match_choice
from teachers.config import OpenAITeacher
from teachers.constraints import Dialect, choice_fields
from teachers.errors import ConfigError, IgnoredError, TeacherError
from teachers.protocol import Answer, Ask, Finish, TokenLogprob, Usage

# Each of these has a setting of its own, or would break the cap or the store.
RESERVED = frozenset({
    "model", "messages", "prompt", "n", "best_of", "stream", "stream_options", "echo",
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "logprobs",
    "top_logprobs", "response_format",
})  # fmt: skip

_STRICT_WORDS = frozenset({
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
    "description", "title", "minimum", "maximum", "multipleOf", "minItems", "maxItems",
})  # fmt: skip

# Servers write this where the true value lies below what they keep.
LOWEST_LOGP = -9999.0


@dataclass(frozen=True, slots=True)
class Wants:
    """How a model wants to be asked."""

    openai: bool = False
    """OpenAI's own service."""
    limited: str | None = None
    """The name of the token limit, where the model's refusal told it."""
    dropped: frozenset[str] = frozenset()
    """Fields that the model refuses."""
    choices: Dialect | None = None
    """How the server is held to choices; None: not at all."""

    @property
    def limit_field(self) -> str:
        """The name under which the token limit is sent."""
        return self.limited or ("max_completion_tokens" if self.openai else "max_tokens")

    def limited_by(self, name: str) -> "Wants":
        """The same with another name of the token limit."""
        return replace(self, limited=name)

    def without(self, field: str) -> "Wants":
        """The same without this field."""
        return replace(self, dropped=self.dropped | {field})


def check_params(config: OpenAITeacher) -> None:
    """Refuse `params` that would go past a setting.

    Raises: ConfigError.
    """
    for name in sorted(RESERVED & config.params.keys()):
        raise ConfigError(
            f"params.{name} cannot be given: the teacher's other settings or the ask decide it"
        )


def request_body(config: OpenAITeacher, ask: Ask, wants: Wants) -> dict[str, Any]:
    """The fields to send, and no field that nobody asked for: strict servers refuse those."""
    body: dict[str, Any] = {"model": config.model}
    top = effective.top_logprobs(config, ask)
    if config.chat:
        turns = effective.messages(config, ask)
        body["messages"] = [{"role": turn.role, "content": turn.content} for turn in turns]
        if top:
            body |= {"logprobs": True, "top_logprobs": top}
    else:
        body["prompt"] = effective.prompt(config, ask)
        if top:
            body["logprobs"] = top
    body[wants.limit_field if config.chat else "max_tokens"] = effective.max_tokens(config, ask)
    # Other servers take a missing value from the model's own files; OpenAI's default is 1, and its
    # reasoning models refuse the field.
    for name in ("temperature", "top_p"):
        value = getattr(config, name)
        if not wants.openai or value != 1.0:
            body[name] = value
    if config.stop:
        body["stop"] = config.stop
    if ask.choices is not None and wants.choices is not None:
        body |= choice_fields(wants.choices, ask.choices)
    if ask.schema is not None and config.constrained:
        described = {"name": "answer", "strict": is_strict(ask.schema), "schema": ask.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    for name in wants.dropped:
        body.pop(name, None)
    return body | _params(config, ask)


def is_strict(schema: Any) -> bool:
    """Whether OpenAI's constrained decoding takes this schema: closed objects, all keys required.

    Any other schema would be refused with `strict`; without it, it is a hint to the model.
    """
    if isinstance(schema, list):
        return all(is_strict(part) for part in schema)
    if not isinstance(schema, Mapping):
        return True
    if not schema.keys() <= _STRICT_WORDS:
        return False
    parts = schema.get("properties")
    if schema.get("type") == "object" or parts is not None:
        named = set(parts or {})
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required") or ()) != named:
            return False
        if not all(is_strict(part) for part in (parts or {}).values()):
            return False
    return is_strict(schema.get("items")) and is_strict(schema.get("anyOf"))


def _params(config: OpenAITeacher, ask: Ask) -> dict[str, Any]:
    params = dict(config.params)
    seed = params.get("seed")
    if isinstance(seed, int) and not isinstance(seed, bool):
        # One seed for all samples would make every vote the same.
        params["seed"] = seed + ask.sample
    return params


def read_answer(config: OpenAITeacher, ask: Ask, body: Any) -> Answer:
    """The answer in a response body.

    Raises: TeacherError("network") for a body that is no answer; "parse" where no choice fits;
        "bad_request" where token probabilities were asked for and did not come.
    """
    choice = _first_choice(body)
    message = choice.get("message") if config.chat else choice
    if not isinstance(message, Mapping):
        raise _garbage("an answer without a message")
    text, reasoning = _parts(message, config.chat)
    logprobs = _logprobs(choice.get("logprobs"))
    answer = Answer(
        text=text,
        finish=_finish(choice.get("finish_reason")),
        usage=_usage(body.get("usage"), config, ask, text),
        model=_text(body.get("model") or config.model),
        reasoning=reasoning,
        logprobs=logprobs,
        choice_logp=None if logprobs is None else choice_logp(ask.choices or (), logprobs),
    )
    if logprobs is None and effective.top_logprobs(config, ask) and text:
        raise IgnoredError(
            "bad_request",
            "the server ignores logprobs: token probabilities were asked for and none came. "
            "Set the teacher's logprobs to 0 or use a server that gives them",
            None,
            answer,
        )
    return _chosen(ask, answer)


def written(config: OpenAITeacher, body: Any) -> str:
    """The text of an answer just as the server wrote it.

    Raises: TeacherError("network") for a body that is no answer.
    """
    choice = _first_choice(body)
    message = choice.get("message") if config.chat else choice
    return _parts(message, config.chat)[0] if isinstance(message, Mapping) else ""


def _chosen(ask: Ask, answer: Answer) -> Answer:
    if ask.choices is None or answer.finish == "content_filter":
        return answer
    found = match_choice(answer.text, ask.choices)
    if found is not None:
        return Answer(
            found, answer.finish, answer.usage, answer.model, answer.reasoning, answer.logprobs,
            answer.choice_logp,
        )  # fmt: skip
    kind = "truncated" if answer.finish == "length" else "parse"
    shown = answer.text.strip()[:80]
    raise TeacherError(kind, f"{shown!r} is not one of: {', '.join(ask.choices)}", None, answer)


def choice_logp(
    choices: tuple[str, ...], tokens: tuple[TokenLogprob, ...]
) -> dict[str, float] | None:
    """Normalised log-probability of every choice, None unless each one is a single token seen here.

    Only then is the first token's distribution the distribution over choices.
    """
    written = [item for item in tokens if item.token.strip() in choices]
    rest = "".join(item.token for item in tokens if item.token.strip() not in choices)
    if not choices or len(written) != 1 or rest.strip():
        return None
    masses = dict.fromkeys(choices, 0.0)
    for token, logp in {**dict(written[0].top), written[0].token: written[0].logp}.items():
        if token.strip() in masses:
            masses[token.strip()] += math.exp(logp)
    if not all(masses.values()):
        return None
    whole = math.log(sum(masses.values()))
    return {choice: math.log(mass) - whole for choice, mass in masses.items()}


def _first_choice(body: Any) -> Mapping[str, Any]:
    if isinstance(body, Mapping) and body.get("error"):
        raise TeacherError("server", f"an error in place of an answer: {str(body['error'])[:300]}")
    choices = body.get("choices") if isinstance(body, Mapping) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise _garbage("a body that is no answer of the OpenAI API")
    return choices[0]


def _garbage(what: str) -> TeacherError:
    return TeacherError("network", f"the server sent {what}", None, None, True)


def _text(value: Any) -> str:
    """Text that can be written as UTF-8: half a surrogate pair becomes a question mark."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _parts(message: Mapping[str, Any], chat: bool) -> tuple[str, str | None]:
    """The answer and the reasoning before it, also where the server has left both in one text."""
    if not chat:
        return _text(message.get("text") or ""), None
    text = _text(message.get("content") or message.get("refusal") or "")
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        return text, _text(reasoning)
    # Some chat templates write the opening mark themselves, so that only the closing one comes.
    before, mark, after = text.partition("</think>")
    if mark and (before.lstrip().startswith("<think>") or "<think>" not in before):
        return after.lstrip(), before.strip().removeprefix("<think>").strip() or None
    return text, None


def _finish(reason: Any) -> Finish:
    return cast("Finish", reason) if reason in ("length", "content_filter") else "stop"


def _usage(found: Any, config: OpenAITeacher, ask: Ask, text: str) -> Usage:
    """Tokens as the server counted them; where it counts none, the most that it can have been."""
    values = found if isinstance(found, Mapping) else {}
    counts = (values.get("prompt_tokens"), _completion_tokens_of(values))
    bounds = (
        effective.input_bound(config, ask),
        min(effective.max_tokens(config, ask), len(text.encode()) + 1),
    )
    known = [
        count if isinstance(count, int) and count >= 0 else bound
        for count, bound in zip(counts, bounds, strict=True)
    ]
    return Usage(*known)


def _completion_tokens_of(usage: Mapping[str, Any]) -> Any:
    """Output tokens, reasoning included: some servers count it in the total only."""
    out = usage.get("completion_tokens")
    total, given = usage.get("total_tokens"), usage.get("prompt_tokens")
    if isinstance(out, int) and isinstance(total, int) and isinstance(given, int):
        return max(out, total - given)
    return out


def _logprobs(found: Any) -> tuple[TokenLogprob, ...] | None:
    """Token probabilities in the chat form, or in the older one of raw completions.

    llama.cpp and newer servers write the chat form for raw completions too.
    """
    if not isinstance(found, Mapping):
        return None
    try:
        if found.get("content") is not None:
            return tuple(_chat_token(item) for item in found["content"])
        if found.get("tokens") is not None:
            return _completion_tokens(found)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _garbage("token probabilities in a shape that is not the API's") from None
    return None


def _chat_token(item: Mapping[str, Any]) -> TokenLogprob:
    listed = item.get("top_logprobs") or ()
    top = tuple((_text(one["token"]), _logp(one["logprob"])) for one in listed)
    return TokenLogprob(_text(item["token"]), _logp(item["logprob"]), top)


def _completion_tokens(found: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    tops = found.get("top_logprobs") or [None] * len(found["tokens"])
    return tuple(
        TokenLogprob(
            _text(token),
            _logp(logp),
            tuple((_text(name), _logp(value)) for name, value in (top or {}).items()),
        )
        for token, logp, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)
    )


def _logp(value: Any) -> float:
    number = float(value)
    return number if math.isfinite(number) else LOWEST_LOGP
