"""A served teacher that scores what the student writes while it is trained."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from teachers.config import OpenAITeacher
from teachers.credentials import PLACEHOLDER, credentials, urls_of

if TYPE_CHECKING:
    from distill.capture.metering import Meter
    from distill.capture.served import PromptServer
    from distill.signals.types import SignalRow, TokenLogp

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class ServedScorer:
    """Asks a server that scores prompts (vLLM), within the run's cap where there is a meter."""

    def __init__(
        self, server: "PromptServer", run: Run = asyncio.run, meter: "Meter | None" = None
    ) -> None:
        self._server = server
        self._run = run
        self._meter = meter

    def token_logp(self, rows: "Sequence[SignalRow]", tokenizer: Any) -> "list[TokenLogp]":
        """The log-probability of each supervised token, row by row."""
        from distill.capture.served import score_tokens

        asked = score_tokens(rows, self._server, tokenizer, meter=self._meter)
        found: list[TokenLogp] = self._run(asked)
        return found


def prompt_server(config: OpenAITeacher, environ: Mapping[str, str] = os.environ) -> "PromptServer":
    """How the server of a teacher is reached; keys come from the environment."""
    from distill.capture.served import PromptServer

    urls = urls_of(config)
    secret = credentials(config, urls[0], environ)
    bearer = {} if secret.key == PLACEHOLDER else {"Authorization": f"Bearer {secret.key}"}
    return PromptServer(
        base_url=urls[0],
        model=config.model,
        headers={**bearer, **secret.headers},
        concurrency=config.concurrency,
        timeout_s=config.timeout_s,
        others=urls[1:],
        identity=config.identity,
    )
