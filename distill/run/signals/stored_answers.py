"""The stored answers behind rows: what a teacher was asked for each, looked up and never asked.

Which sample of a prompt became a row is not written in the row. Equal prompts have samples 0, 1 and
so on, so the first one whose text is the row's own is taken; a text that was changed has none.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from distill.generate.steps import choices_of
from distill.recipe.files import text_of
from distill.recipe.generation import AskField
from distill.recipe.schema import Recipe
from distill.recipe.templates import Template
from distill.rows.row import canonical_json
from teachers.protocol import Answer, Ask, TokenLogprob, user

GAP = 8
"""Samples in a row that were never asked, after which no more are looked for."""

LookUp = Callable[[Ask], Answer | None]


class StoredAnswers:
    """Looks up the answers to one field of a recipe."""

    def __init__(self, recipe: Recipe, name: str, spec: AskField, look_up: LookUp) -> None:
        self._name, self._spec, self._look_up = name, spec, look_up
        self._template = Template(text_of(recipe, spec.prompt), f"generate.fields.{name}")
        self._choices = choices_of(recipe, name, spec)
        self._seen: dict[str, tuple[list[Answer], Iterator[Answer]]] = {}

    def of(self, fields: Mapping[str, Any], value: Any) -> Answer | None:
        """The answer that gave the row this value, its log-probabilities those of that text."""
        if not self._template.names <= {"row", *fields}:
            return None
        text = self._template.render({"row": fields, **fields})
        known, more = self._seen.setdefault(text, ([], self._samples(text)))
        for answer in known:
            if self._gave(answer, value):
                return self._as_kept(answer)
        for answer in more:
            known.append(answer)
            if self._gave(answer, value):
                return self._as_kept(answer)
        return None

    def _samples(self, text: str) -> Iterator[Answer]:
        missing, sample = 0, 0
        while missing < GAP:
            ask = Ask(
                user(text),
                sample=sample,
                choices=self._choices,
                schema=self._spec.schema_,
                max_tokens=self._spec.max_tokens,
                allow_truncated=self._spec.truncated == "accept",
            )
            answer = self._look_up(ask)
            missing = missing + 1 if answer is None else 0
            sample += 1
            if answer is not None:
                yield answer

    def _gave(self, answer: Answer, value: Any) -> bool:
        if self._spec.schema_ is not None:
            try:
                return canonical_json(json.loads(answer.text)) == canonical_json(value)
            except ValueError:
                return False
        stripped = self._spec.strip or self._choices is not None
        text = answer.text.strip() if stripped else answer.text
        return bool(text == value)

    def _as_kept(self, answer: Answer) -> Answer:
        if answer.logprobs is None or not (self._spec.strip or self._choices):
            return answer
        return replace(answer, logprobs=stripped(answer.logprobs))


def stripped(tokens: tuple[TokenLogprob, ...]) -> tuple[TokenLogprob, ...]:
    """The tokens without the white space around the text, alternatives that become one added up."""
    kept = list(tokens)
    while kept and not kept[0].token.strip():
        kept.pop(0)
    while kept and not kept[-1].token.strip():
        kept.pop()
    if kept:
        kept[0] = _changed(kept[0], str.lstrip)
        kept[-1] = _changed(kept[-1], str.rstrip)
    return tuple(kept)


def _changed(one: TokenLogprob, strip: Callable[[str], str]) -> TokenLogprob:
    if all(strip(text) == text for text in (one.token, *(text for text, _ in one.top))):
        return one
    masses: dict[str, float] = {}
    for text, logp in one.top:
        masses[strip(text)] = masses.get(strip(text), 0.0) + math.exp(logp)
    own = strip(one.token)
    told = any(text == one.token for text, _ in one.top)
    mass = masses.get(own, 0.0) + (0.0 if told else math.exp(one.logp))
    top = tuple((text, math.log(mass)) for text, mass in masses.items() if text and mass > 0)
    return TokenLogprob(own, math.log(mass) if mass > 0 else one.logp, top)
