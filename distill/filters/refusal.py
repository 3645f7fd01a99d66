"""refusal: drops rows in which a teacher refused, spoke about itself as an assistant, or wrote nothing.

The patterns are English. People write "I'm sorry, I cannot log in" too, so a refusal needs both the
first words of an answer and a verb of assisting; what may stand anywhere names the assistant itself.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.recipe.filtering import RefusalFilter
from distill.rows.row import Row, Verdict

OPENING = 300
"""Characters at the start in which a refusal must begin."""

_CANNOT = r"(?:can(?:no|['\u2019])?t|can not|could(?: not|n['\u2019]t)|won['\u2019]?t be able to|will not be able to|(?:am|['\u2019]m) (?:unable|not able) to|unable to|not able to)"  # noqa: E501 - one alternation reads best on one line
_THING = r"(?:that|this|these|those|it|any|such|your|the)\b"
_ASSIST = rf"(?:(?:help|assist)(?: you)?(?: (?:with|in|on)\b|[.,!]|$)|(?:comply|engage)\b|(?:do|fulfil|fulfill|provide|produce|generate|create|write|answer|discuss|share|support|continue) {_THING}.{{0,40}}\b(?:request|content|conversation|topic|question|information|instruction|material|advice|response|text|type|kind)\b)"  # noqa: E501 - as above

REFUSALS = (
    rf"\bi {_CANNOT} {_ASSIST}",
    rf"\bi{_CANNOT} {_ASSIST}",
    rf"^(?:i['\u2019]?m |i am )?(?:very |so |really |truly )?(?:sorry|afraid)\b.{{0,40}}\b{_CANNOT} {_ASSIST}",
    r"\bi (?:must|have to|need to|will have to)(?: respectfully| politely)? (?:decline|refuse)\b",
    r"\bi (?:respectfully |politely )?decline to\b",
    r"\bi(?: am|['\u2019]m) not (?:comfortable|allowed|permitted|programmed|designed)\b.{0,40}\b(?:answer|assist|help|writ|provid|generat|creat|produc|discuss)",
)
"""Searched at the start of the text: the teacher says no."""

BOILERPLATE = (
    r"\bas an? (?:\w+ )?(?:ai|artificial intelligence|language model|large language model|ai assistant|virtual assistant|chatbot)\b",
    r"\bi(?: am|['\u2019]m) (?:just |only |merely )?an? (?:ai|artificial intelligence|(?:large |ai )?language model|virtual assistant|ai assistant|chatbot)\b",
    r"\bmy (?:knowledge cut-?off|training data|programming|last (?:knowledge |training )?update)\b",
    r"\b(?:against|violates?|breach(?:es)?) (?:my|openai['\u2019]?s?|our) (?:\w+ )?(?:guidelines|polic(?:y|ies)|programming|principles)\b",
    r"\bi (?:do not|don['\u2019]t) have (?:personal (?:opinions|experiences|feelings|beliefs)|access to real-?time)\b",
)
"""Searched anywhere: the teacher speaks about itself."""

LEAD_IN = (
    r"^(?:sure|certainly|of course|absolutely|no problem|okay|ok|great)[,.!:]* (?:here(?:['\u2019]s| is| are)|i(?:['\u2019]d| would| will|['\u2019]ll) (?:be )?(?:happy|glad|love|write|create|generate|provide))\b",
    r"^(?:sure|certainly|of course|absolutely)[,.!]?\s*(?:thing)?[.!:]?\s*\n",
    r"^here(?:['\u2019]s| is| are) (?:an?|the|your|my|some|one|two|three|\d+)\b[^\n]{0,80}:\s*(?:\n|$)",
)
"""Searched at the very start: words to the person who asked, not part of what was asked for."""


class Refusal:
    """Looks at the named field, else at every field that a teacher wrote."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: RefusalFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field,) if spec.field else ()
        self._fields = self.needs or context.written or (context.task.output,)
        self._refusal = _any_of(REFUSALS)
        self._boilerplate = _any_of(BOILERPLATE)
        self._lead_in = _any_of(LEAD_IN)

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with refusal, boilerplate or empty."""
        return [self._verdict(row) for row in rows]

    def _verdict(self, row: Row) -> Verdict:
        for name in self._fields:
            if row.fields.get(name) is None:
                continue
            reason = self.reason(text_of_value(row.fields[name]))
            if reason:
                return Verdict("refusal", False, reason)
        return Verdict("refusal", True)

    def reason(self, text: str) -> str | None:
        """Returns why a text is no answer, or None where it is one."""
        text = text.strip()
        if not text:
            return "empty"
        if self._refusal.search(text[:OPENING]):
            return "refusal"
        if self._boilerplate.search(text) or self._lead_in.search(text):
            return "boilerplate"
        return None


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
