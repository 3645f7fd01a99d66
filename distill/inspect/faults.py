"""Rows that cannot teach anything: empty, cut off, refusing, or talking about the assistant."""

import json
import re
from collections.abc import Callable
from typing import Any

from distill.inspect.view import View
from distill.inspect.workplace import Workplace

Refusal = Callable[[str], str | None]
"""Says why a text is no answer ("refusal", "boilerplate", "empty"), or None where it is one."""

NAMES = ("empty", "truncated", "refusal", "boilerplate")

QUESTIONS = frozenset(
    {"instruction", "prompt", "question", "query", "utterance", "title", "input", "premise"}
)
BETTER = frozenset({"chosen", "response_j"})
"""Columns of a preference that hold the better answer by their name."""

ENDINGS = ".!?\u3002\uff01\uff1f\u2026\"')]}`*:;|>\u201d\u2019\u300d%$"
MOSTLY = 0.9
"""Share of long texts that must end as sentences do before one that does not is called cut off."""
LONG = 12
"""Words from which an ending is looked at."""
SHORT_LINE = 6
"""Words below which a last line of several is a heading, a name or an end, not a sentence."""
TAIL = 200
"""Characters at the end in which a series is looked for: the pattern goes back over each start."""
_ITEM = re.compile(r"\s*(?:[-*+#|>\u2022]|\d+[.):]|[A-Za-z][.)] |[\w ]{1,40}: )|\s{2,}|\t")
"""A line that need not end as a sentence does."""
_SERIES = re.compile(r"\S+(?:, [^\s,]+(?: [^\s,]+)?){2,}$|[\d)]$")
"""The end of a list within a line, or a number."""
_BREAK = re.compile(r"[\w,\-\u2013\u2014(]$")


def measure_faults(view: View, refusal: Refusal | None, place: Workplace) -> dict[str, Any]:
    """{"empty" | "truncated" | "refusal" | "boilerplate": {count, rows}}.

    An input or an answer may be empty; only answers refuse or are cut off, or, in a dataset of
    plain texts that are no questions, the texts. Both answers of a preference are looked at, but a
    rejected one may refuse.
    """
    found: dict[str, set[int]] = {name: set() for name in NAMES}
    sides = [side for side in view.answers if any(side)]
    if view.columns.input or view.columns.messages:
        found["empty"].update(at for at, text in enumerate(view.inputs) if not text.strip())
    for side in sides:
        found["empty"].update(at for at, text in enumerate(side) if not text.strip())
    for side in sides or [view.inputs] * _is_plain(view):
        found["truncated"].update(_truncated(side, place))
    answered = sides[: 1 if _knows_better(view) else None]
    for side in answered if refusal is not None else ():
        assert refusal is not None
        for at, why in enumerate(place.each(refusal, side)):
            if why in found and side[at].strip():
                found[str(why)].add(at)
    return {
        name: {"count": len(rows), "rows": [view.ids[at] for at in sorted(rows)]}
        for name, rows in found.items()
    }


def _is_plain(view: View) -> bool:
    """Whether rows are texts by themselves: a question or an order may end as it likes."""
    return view.columns.shape == "text" and (view.columns.input or "").lower() not in QUESTIONS


def _knows_better(view: View) -> bool:
    """Whether one answer of each pair is known to be the better one."""
    return (view.columns.chosen or "").lower() in BETTER or "chosen" not in view.columns.guessed


def _truncated(texts: list[str], place: Workplace) -> set[int]:
    ends = [text.rstrip() for text in texts]
    long = [at for at, text in enumerate(ends) if text.count(" ") >= LONG - 1]
    open_ended = [at for at in long if _is_open(ends[at])]
    cut = {at for at, broken in enumerate(place.each(_broken, ends)) if broken}
    if long and len(open_ended) <= (1 - MOSTLY) * len(long):
        cut.update(open_ended)
    return cut


def _is_open(text: str) -> bool:
    """Whether a text stops within a sentence; lists, tables, code and short last lines do not."""
    if not _BREAK.search(text) or text[-1] in ENDINGS:
        return False
    last = text[text.rfind("\n") + 1 :]
    if len(last) < len(text) and (_ITEM.match(last) or last.count(" ") < SHORT_LINE - 1):
        return False
    return not _SERIES.search(last[-TAIL:])


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
