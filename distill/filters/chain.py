"""The filters of a recipe as one chain: survivors go on, every verdict is kept, rows in id order.

Adding a filter: one file here, one class in recipe/filtering.py, one line in FILTERS, one test
file.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.errors import RunError
from distill.filters.agree import Agree
from distill.filters.duplicate import Duplicate
from distill.filters.filter import Context, Filter, Tokenizer
from distill.filters.format import Format
from distill.filters.length import Length
from distill.filters.near_duplicate import NearDuplicate
from distill.filters.not_in_gold import NotInGold
from distill.filters.refusal import Refusal
from distill.filters.regex import Regex
from distill.recipe.filtering import NotInGoldFilter
from distill.recipe.generation import AskField
from distill.recipe.schema import Recipe
from distill.rows.row import Row, Verdict

FILTERS: Mapping[str, type[Any]] = {
    "length": Length,
    "regex": Regex,
    "format": Format,
    "refusal": Refusal,
    "duplicate": Duplicate,
    "near_duplicate": NearDuplicate,
    "not_in_gold": NotInGold,
    "agree": Agree,
}

PAID = frozenset({"judge", "verify", "custom"})
"""Filters that may ask a teacher; every free one that we add ourselves stands before them."""


@dataclass(frozen=True, slots=True)
class Link:
    """One filter in its place."""

    name: str
    filter: Filter


class Chain:
    """The filters in order; it remembers earlier rounds, so one chain serves one run."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)

    @property
    def order(self) -> list[str]:
        """The names of the filters, in the order they run."""
        return [link.name for link in self._links]

    async def sift(self, rows: list[Row]) -> list[Row]:
        """Returns the rows in id order with their verdicts; dropped ones have status rejected."""
        settled = {row.id: row for row in rows}
        alive = sorted((row for row in rows if row.status == "accepted"), key=lambda row: row.id)
        for link in self._links:
            judged = await _pass(link, alive)
            settled.update((row.id, row) for row in judged)
            alive = [row for row in judged if row.status == "accepted"]
        return [settled[id] for id in sorted(settled)]


def build_chain(
    recipe: Recipe, *, gold: Sequence[Mapping[str, Any]], tokenizer: Tokenizer | None = None
) -> Chain:
    """Returns the chain of a recipe, with not_in_gold added where there is gold.

    Raises: RecipeError when a filter is not built yet or its options cannot work.
    """
    context = Context(
        task=recipe.task,
        gold=gold,
        written=written_fields(recipe),
        tokenizer=tokenizer,
        file=recipe._source or None,
    )
    links = []
    for at, spec in enumerate(recipe.filter):
        key = f"filter.{at}.{spec.kind}"
        line = recipe._lines.get(key) or recipe._lines.get(f"filter.{at}")
        here = replace(context, key=key, line=line)
        if spec.kind not in FILTERS:
            raise here.refuse(
                f"the filter {spec.kind} is not built yet", allowed=", ".join(FILTERS)
            )
        links.append(Link(spec.kind, FILTERS[spec.kind](spec, here)))
    if recipe.data.gold is not None and all(link.name != "not_in_gold" for link in links):
        added = Link("not_in_gold", NotInGold(NotInGoldFilter(), replace(context, key="data.gold")))
        place = next((at for at, link in enumerate(links) if link.name in PAID), len(links))
        links.insert(place, added)
    return Chain(links)


def written_fields(recipe: Recipe) -> tuple[str, ...]:
    """Returns the fields that a teacher writes freely or chooses, in recipe order."""
    fields = recipe.generate.fields if recipe.generate else {}
    return tuple(name for name, spec in fields.items() if isinstance(spec, AskField))


async def _pass(link: Link, rows: Sequence[Row]) -> list[Row]:
    """The rows after one filter, in their order."""
    needs = link.filter.needs
    whole = [row for row in rows if all(row.fields.get(name) is not None for name in needs)]
    given = link.filter.verdicts(whole)
    verdicts = await given if inspect.isawaitable(given) else given
    if len(verdicts) != len(whole):
        raise RunError(f"filter {link.name} gave {len(verdicts)} verdicts on {len(whole)} rows")
    by_id = {row.id: verdict for row, verdict in zip(whole, verdicts, strict=True)}
    missing = Verdict(link.name, False, "missing_field")
    return [_apply(link, row, by_id.get(row.id, missing)) for row in rows]


def _apply(link: Link, row: Row, verdict: Verdict) -> Row:
    verdicts = (*row.verdicts, verdict)
    if verdict.keep:
        score = verdict.score if link.filter.quality else row.score
        return replace(row, verdicts=verdicts, score=score)
    # "refusal", not "refusal:refusal": a reason that only repeats the name adds nothing.
    adds = verdict.reason and verdict.reason != link.name
    reason = f"{link.name}:{verdict.reason}" if adds else link.name
    return replace(row, verdicts=verdicts, status="rejected", reason=reason, score=verdict.score)
