"""Rows that cannot teach anything: empty, cut off, refusing, or talking about the assistant."""

import json
import re
from collections.abc import Callable
from typing import Any

from distill.inspect.view import View
from distill.inspect.workplace import Workplace

Refusal = Callable[[str], str | None]
"""Says why a text is no answer ("refusal", "boilerplate", "empty"), or None where it is one."""

ENDINGS = ".!?\u3002\uff01\uff1f\u2026\"')]}`*:;|>\u201d\u2019\u300d%$"
MOSTLY = 0.9
"""Share of long texts that must end as sentences do before one that does not is called cut off."""
LONG = 12
"""Words from which an ending is looked at."""
_BREAK = re.compile(r"[\w,\-\u2013\u2014(]$")


def measure_faults(view: View, refusal: Refusal | None, place: Workplace) -> dict[str, Any]:
    """{"empty" | "truncated" | "refusal" | "boilerplate": {count, rows}}, and `why` where unknown.

    An input or an answer may be empty; only answers refuse or are cut off, or, in a dataset of
    plain texts, the texts.
    """
    texts = view.outputs if view.outputs is not None else view.inputs
    answers = view.outputs is not None and any(view.outputs)
    found: dict[str, list[int]] = {"empty": [], "truncated": [], "refusal": [], "boilerplate": []}
    if view.columns.input or view.columns.messages:
        found["empty"] = [
            at
            for at, (asked, text) in enumerate(zip(view.inputs, texts, strict=True))
            if not asked.strip() or (answers and not text.strip())
        ]
    if answers or view.columns.shape == "text":
        found["truncated"] = _truncated(texts, place)
    if answers and refusal is not None:
        reasons = place.each(refusal, texts)
        for at, (text, why) in enumerate(zip(texts, reasons, strict=True)):
            if why in found and text.strip():
                found[why].append(at)
    return {
        name: {"count": len(rows), "rows": [view.ids[at] for at in rows]}
        for name, rows in found.items()
    }


def _truncated(texts: list[str], place: Workplace) -> list[int]:
    ends = [text.rstrip() for text in texts]
    long = [at for at, text in enumerate(ends) if text.count(" ") >= LONG - 1]
    open_ended = [at for at in long if _BREAK.search(ends[at]) and ends[at][-1] not in ENDINGS]
    cut = {at for at, broken in enumerate(place.each(_broken, ends)) if broken}
    if long and len(open_ended) <= (1 - MOSTLY) * len(long):
        cut.update(open_ended)
    return sorted(cut)


def _broken(text: str) -> bool:
    return text.count("```") % 2 == 1 or _broken_json(text)


def _broken_json(text: str) -> bool:
    """Whether a text begins as a JSON object and ends before it is closed."""
    if not text.lstrip().startswith('{"'):
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        return exc.pos >= len(text) - 1 or exc.msg.startswith("Unterminated")
    except ValueError:
        return False
    return False
