"""refusal: drops rows in which a teacher refused, spoke of itself, or wrote nothing.

The patterns are English. People write "I'm sorry, I cannot log in" too, so a refusal needs the
first words of the text and a verb of assisting; what may stand anywhere names the assistant itself.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.recipe.filtering import RefusalFilter
from distill.rows.row import Row, Verdict

OPENING = 300
"""Characters at the start in which a refusal must begin."""

_I_AM = r"\bi(?: am|'?m)"
_CANNOT = (
    r"(?:can(?:no|')?t|can not|could(?: not|n't)|won'?t be able to|will not be able to"
    r"|(?:am |'m )?(?:unable|not able) to)"
)
_ASSIST = (
    r"(?:(?:help|assist)(?: you)?(?: (?:with|in|on)\b|[.,!]|$)"
    r"|(?:comply|engage)\b"
    r"|(?:do|fulfill?|provide|produce|generate|create|write|answer|discuss|share|support|continue)"
    r"(?: (?:that|this|these|those|it|any|such|your|the)\b.{0,40}\b| )"
    r"(?:request|content|conversation|topic|question|information|instruction|material|advice"
    r"|response|text|type|kind)s?\b)"
)
# "as an AI, I ..." but not "I work as an AI researcher" or "as an assistant manager".
_ASSISTANT = (
    r"(?:(?:large |ai )*language model\b|ai (?:assistant|model|system|chatbot)\b"
    r"|virtual assistant\b"
    r"|(?:ai|artificial intelligence|chatbot)(?=[,.;]| i\b| and\b| developed| created| trained))"
)

REFUSALS = (
    rf"\bi ?{_CANNOT} {_ASSIST}",
    rf"^(?:{_I_AM} |i )?(?:(?:very|so|really|truly) )?(?:sorry|afraid|apologi[sz]e)\b.{{0,40}}"
    rf"\b{_CANNOT} {_ASSIST}",
    r"\bi (?:must|have to|need to|will have to)(?: respectfully| politely)? (?:decline|refuse)\b",
    r"\bi (?:respectfully |politely )?decline to\b",
    rf"{_I_AM} not (?:comfortable|allowed|permitted|programmed|designed)\b.{{0,40}}"
    r"\b(?:answer|assist|help|writ|provid|generat|creat|produc|discuss)",
)
"""Searched at the start of the text: the teacher says no."""

BOILERPLATE = (
    rf"\bas an? (?:helpful )?{_ASSISTANT}",
    rf"{_I_AM} (?:(?:just|only|merely) )?an? {_ASSISTANT}",
    r"\bmy (?:knowledge cut-?off|last (?:knowledge|training) update)\b",
    r"\b(?:against|violates?|breach(?:es)?) (?:my (?:\w+ )?(?:guidelines|programming|principles)"
    r"|(?:our|openai'?s?) (?:content|usage|safety) polic(?:y|ies))\b",
    r"\bi (?:do not|don't) have (?:personal (?:opinion|experience|feeling|belief)s"
    r"|access to real-?time)\b",
)
"""Searched anywhere: the teacher speaks of itself."""

LEAD_IN = (
    r"^(?:sure|certainly|of course|absolutely|no problem|okay|ok|great)[,.!: ]+"
    r"(?:here(?:'s| is| are)\b"
    r"|i(?:'d| would| will|'ll) (?:be )?(?:happy|glad|love|write|create|generate|provide)\b)",
    r"^(?:sure|certainly|of course|absolutely)(?: thing)?[,.!:]?\s*\n",
    r"^here(?:'s| is) (?:an?|the|your|my|one)\b[^\n]{0,80}:\s*(?:\n|$)",
)
"""Searched at the very start: words to the person who asked, not part of what was asked for."""


class Refusal:
    """Looks at the named field, else at every field that a teacher wrote."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: RefusalFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field,) if spec.field else ()
        self._fields = self.needs or context.written or (context.task.output,)
        self._sometimes = context.sometimes
        self._kept = Verdict("refusal", True)
        self._refusal = _any_of(REFUSALS)
        self._boilerplate = _any_of((*BOILERPLATE, *LEAD_IN))

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with refusal, boilerplate or empty."""
        return [self._verdict(row) for row in rows]

    def _verdict(self, row: Row) -> Verdict:
        for name in self._fields:
            if row.fields.get(name) is None:
                continue
            text = text_of_value(row.fields[name])
            if not text and name in self._sometimes:
                continue
            reason = self.reason(text)
            if reason:
                return Verdict("refusal", False, reason)
        return self._kept

    def reason(self, text: str) -> str | None:
        """Returns why a text is no answer, or None where it is one."""
        text = text.strip().replace("\u2019", "'")
        if not text:
            return "empty"
        if self._refusal.search(text[:OPENING]):
            return "refusal"
        return "boilerplate" if self._boilerplate.search(text) else None


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
