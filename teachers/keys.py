"""The store key of an ask: a digest of everything that decides its answer, and of nothing else.

Every field of every teacher's configuration stands in exactly one of the two tables below (a test
asserts it), so that a new setting forces the decision whether it may change an answer.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from teachers import effective
from teachers.config import TeacherConfig
from teachers.protocol import Ask

KEY_FORMAT = 1

INCLUDED: frozenset[str] = frozenset({
    "kind", "model", "revision", "recipe", "identity", "chat", "system",
    "temperature", "top_p", "max_tokens", "stop", "params", "logprobs",
    "constrained",                                                  # what may be said, not how
    "dtype", "quantize",                                            # local: other numbers
    "script", "choices", "wrong", "refuse", "malformed",            # scripted: its rules
    "factory", "options",                                           # custom: its code and options
})  # fmt: skip

EXCLUDED: Mapping[str, str] = {
    "concurrency": "how many at once changes no answer",
    "rpm": "pace",
    "tpm": "pace",
    "price": "what it costs is not what it says",
    "timeout_s": "patience",
    "warm_up_s": "patience",
    "mode": "a batch answers what the online endpoint answers",
    "batch_tokens": "pace",
    "base_url": "the same model may move; `identity` tells two servers apart",
    "api_key_env": "who pays",
    "headers_env": "who pays, or a gateway's routing",
    "device_map": "where the weights lie",
    "trust_remote_code": "permission",
    "latency_s": "scripted: pace",
}


def canonical(value: Any) -> Any:
    """The same value in one spelling: sorted by the encoder, whole floats as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [canonical(item) for item in value]
    return value


# ASCII escapes keep lone surrogates, which UTF-8 refuses, in a well-defined form.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)


def _json(value: Any) -> str:
    return "null" if value is None else _ENCODER.encode(canonical(value))


class Keys:
    """The store keys of one teacher's asks; its settings are written out once."""

    def __init__(self, config: TeacherConfig) -> None:
        self._config = config
        settings = config.model_dump(mode="json", include=set(INCLUDED))
        # The effective values stand beside them: an ask may override them.
        settings.pop("max_tokens", None)
        settings.pop("logprobs", None)
        # What is allowed stands in the ask. Which words hold a server to it is no part of the key,
        # so an answer that was checked here serves whatever server is asked next.
        if settings.get("constrained") is True:
            del settings["constrained"]
        self._settings = _json(settings)

    def key(self, ask: Ask, attempt: int = 0) -> str:
        """SHA-256, in hexadecimal, over the canonical JSON of all that decides the answer."""
        parts = {
            "allowed": _json(ask.choices),
            "attempt": attempt,
            "format": KEY_FORMAT,
            "max_tokens": effective.max_tokens(self._config, ask),
            "messages": _ENCODER.encode([[turn.role, turn.content] for turn in ask.messages]),
            "sample": ask.sample,
            "schema": _json(ask.schema),
            "settings": self._settings,
            "top_logprobs": effective.top_logprobs(self._config, ask),
        }
        text = ",".join(f'"{name}":{part}' for name, part in parts.items())
        return hashlib.sha256(f"{{{text}}}".encode("ascii")).hexdigest()


def ask_key(config: TeacherConfig, ask: Ask, attempt: int = 0) -> str:
    """The store key of this ask to this teacher; `attempt` counts corrective re-asks."""
    return Keys(config).key(ask, attempt)
