"""Whether a recorded answer was cut off at its token limit, as servers and people write that."""

import json
import re
from typing import Any

from distill.judge.labels import Unreadable, is_missing, number_of

COLUMNS = ("truncated", "finish_reason", "stop_reason")
"""Where a file of verdicts says it, unless --map names another column."""
CUT = frozenset({
    "length", "max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit",
    "truncated", "cut_off", "incomplete", "true", "yes",
})  # fmt: skip
"""finish_reason of OpenAI, vLLM and Gemini, stop_reason of Anthropic, and plain words."""
ENDED = frozenset({
    "stop", "eos", "eos_token", "stop_sequence", "end_turn", "tool_use", "tool_calls",
    "function_call", "content_filter", "safety", "recitation", "refusal", "complete", "completed",
    "finished", "false", "no",
})  # fmt: skip


def cut_off(value: Any) -> bool | None:
    """True for a cell that says so, False for one that says otherwise, None for an empty one.

    Raises: Unreadable for any other word or number.
    """
    if isinstance(value, bool):
        return value
    if is_missing(value):
        return None
    if (number := number_of(value)) in (0.0, 1.0):
        return number == 1
    word = re.sub(r"[\s_-]+", "_", str(value).strip().lower())
    word = word.rpartition(".")[2].removeprefix("finish_reason_")
    if word in CUT or word in ENDED:
        return word in CUT
    shown = json.dumps(value, ensure_ascii=False, default=str)[:60]
    raise Unreadable(f"{shown} does not say whether the answer was cut off")
