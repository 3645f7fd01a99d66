"""The filters of a recipe as one chain: survivors go on, every verdict is kept, rows in id order.

Adding a filter: one file here, one class in recipe/filtering.py, one line in FILTERS, one test
file.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from distill.errors import RunError
from distill.filters.agree import Agree
from distill.filters.balance import Balance
from distill.filters.classifier import Classifier
from distill.filters.complete import Complete
from distill.filters.consistent import Consistent
from distill.filters.custom import Custom
from distill.filters.duplicate import Duplicate
from distill.filters.filter import (
    Context,
    Edited,
    Elsewhere,
    Filter,
    Judged,
    Outcome,
    Tokenizer,
)
from distill.filters.format import Format
from distill.filters.judge import Judge
from distill.filters.label_noise import LabelNoise
from distill.filters.language import Language
from distill.filters.length import Length
from distill.filters.near_duplicate import NearDuplicate
from distill.filters.not_in_gold import NotInGold
from distill.filters.novelty import Novelty
from distill.filters.outlier import Outlier
from distill.filters.pii import Pii
from distill.filters.quality import Quality
from distill.filters.refusal import Refusal
from distill.filters.regex import Regex
from distill.filters.semantic_duplicate import SemanticDuplicate
from distill.filters.standardise import Standardise
from distill.filters.verify import Verify
from distill.progress import Listener, Progress, silent
from distill.recipe.filtering import FilterSpec, NotInGoldFilter, asks, in_order
from distill.recipe.generation import AskField
from distill.recipe.schema import Recipe
from distill.rows.collection import rare_collection
from distill.rows.row import Row, Verdict
from teachers.protocol import Teacher

FILTERS: Mapping[str, type[Any]] = {
    "length": Length,
    "regex": Regex,
    "format": Format,
    "standardise": Standardise,
    "refusal": Refusal,
    "language": Language,
    "duplicate": Duplicate,
    "near_duplicate": NearDuplicate,
    "novelty": Novelty,
    "semantic_duplicate": SemanticDuplicate,
    "outlier": Outlier,
    "not_in_gold": NotInGold,
    "agree": Agree,
    "judge": Judge,
    "verify": Verify,
    "pii": Pii,
    "classifier": Classifier,
    "balance": Balance,
    "complete": Complete,
    "quality": Quality,
    "label_noise": LabelNoise,
    "consistent": Consistent,
    "custom": Custom,
}


BY_ITSELF = frozenset(
    {
        "length", "regex", "format", "standardise", "refusal", "language", "not_in_gold", "agree",
        "pii", "verify",
    }
)  # fmt: skip
"""Free filters that judge a row without looking at others, so that rows may lie anywhere.

Not `custom`, whose function may remember rows, and not `classifier`, whose figures differ in their
last digits with the rows beside them."""


BLOCK = 1000
"""Rows that go through such filters together."""


@dataclass(frozen=True, slots=True)
class Link:
    """One filter in its place."""

    name: str
    filter: Filter
    paid: bool = False
    restored: bool = False
    """What it drops is kept all the same, because people brought it back."""
    remade: Callable[[], Any] | None = None
    """The same filter again in another process; None where it must stay with its memory."""


class Stretch:
    """Filters in a row that judge each row by itself; they are made where they are first used."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._plain = [(link.name, link.restored, link.remade) for link in links]
        self._links: list[Link] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_plain": self._plain, "_links": None}

    def __call__(self, rows: Sequence[Row]) -> list[Judged]:
        """What they make of some rows, in order."""
        if self._links is None:
            self._links = [
                Link(name, remade(), restored=restored)
                for name, restored, remade in self._plain
                if remade is not None
            ]
        return asyncio.run(_through(self._links, rows))


class Chain:
    """The filters in order; it remembers earlier rounds, so one chain serves one run."""

    def __init__(
        self,
        links: Sequence[Link],
        listen: Listener = silent,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._links = tuple(links)
        self._listen = listen
        self._elsewhere = elsewhere

    @property
    def order(self) -> list[str]:
        """The names of the filters, in the order they run."""
        return [link.name for link in self._links]

    async def sift(self, rows: list[Row]) -> list[Row]:
        """Returns the rows in id order with their verdicts; dropped ones have status rejected."""
        settled = {row.id: row for row in rows}
        said: dict[str, tuple[Verdict, ...]] = dict.fromkeys(settled, ())
        alive = sorted((row for row in rows if row.status == "accepted"), key=lambda row: row.id)
        at = 0
        while at < len(self._links):
            stretch = self._stretch(at)
            with rare_collection():
                judged = await self._judged(stretch, alive)
            alive = []
            for row, verdicts in judged:
                said[row.id] += verdicts
                if row.status == "accepted":
                    alive.append(row)
                else:
                    settled[row.id] = row
            for link, kept in zip(stretch, _kept(judged, len(stretch)), strict=True):
                at += 1
                figures: dict[str, float | str] = {"filter": link.name, "kept": kept}
                self._listen(Progress("filter", at, len(self._links), figures))
        settled.update((row.id, row) for row in alive)
        with rare_collection():
            return [_with_verdicts(settled[id], said[id]) for id in sorted(settled)]

    def _stretch(self, start: int) -> Sequence[Link]:
        """The links from `start` on that are done together: one, or all that judge rows alone."""
        end = start
        while end < len(self._links) and self._links[end].remade is not None:
            end += 1
        return self._links[start : max(end, start + 1)]

    async def _judged(self, stretch: Sequence[Link], rows: Sequence[Row]) -> list[Judged]:
        """The rows after a stretch: here block by block, which keeps what is in use small."""
        if stretch[0].remade is None:
            return await _through(stretch, rows)
        if self._elsewhere is not None and len(rows) >= self._elsewhere.rows:
            return await self._elsewhere.judged(Stretch(stretch), rows)
        blocks = (rows[at : at + BLOCK] for at in range(0, len(rows), BLOCK))
        return [one for block in blocks for one in await _through(stretch, block)]

    async def recall(self, rows: Sequence[Row]) -> None:
        """Shows the filters rows that are accepted already, so that they remember them.

        Filters that ask a teacher remember nothing and are left out.
        """
        known = sorted(rows, key=lambda row: row.id)
        for link in self._links:
            if not link.paid:
                judged = await _pass(link, known)
                known = [replace(row, status="accepted", reason=None) for row, _ in judged]

    def facts(self) -> dict[str, Any]:
        """What the filters tell of themselves, by name; only those that have something to tell."""
        told: dict[str, dict[str, Any]] = {
            link.name: dict(getattr(link.filter, "facts", dict)()) for link in self._links
        }
        return {name: facts for name, facts in told.items() if facts}


def build_chain(
    recipe: Recipe,
    *,
    gold: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer | None = None,
    teachers: Mapping[str, Teacher] | None = None,
    approved: Mapping[str, bool] | None = None,
    restored: Set[str] = frozenset(),
    listen: Listener = silent,
    elsewhere: Elsewhere | None = None,
) -> Chain:
    """Returns the chain of a recipe, with not_in_gold added where there is gold.

    Args:
        recipe: Expanded.
        gold: Human-labelled rows.
        tokenizer: The student's, where a filter counts its tokens.
        teachers: Where a filter asks one.
        approved: Row id -> whether people approved the row.
        restored: Names of filters whose drops people brought back.
        listen: Is told after every filter.
        elsewhere: Other processes for many rows; absent: all is done in this one.

    Raises: RecipeError when options cannot work, PrerequisiteError when an extra is missing.
    """
    context = Context(
        task=recipe.task,
        gold=gold,
        written=written_fields(recipe),
        sometimes=sometimes_written(recipe),
        tokenizer=tokenizer,
        recipe=recipe,
        teachers=teachers or {},
        approved=approved or {},
        seed=recipe.seed,
        listen=listen,
        elsewhere=elsewhere,
        file=recipe._source or None,
    )
    links = []
    for at, spec in with_gold(recipe):
        key = f"filter.{at}.{spec.kind}" if at is not None else "data.gold"
        line = recipe._lines.get(key) or recipe._lines.get(f"filter.{at}")
        here = replace(context, key=key, line=line)
        made = _made(spec, here)
        alone = replace(here, teachers={}, approved={}, listen=silent, elsewhere=None)
        links.append(
            Link(
                spec.kind,
                made,
                asks(spec) is not None,
                spec.kind in restored,
                partial(_made, spec, alone) if spec.kind in BY_ITSELF else None,
            )
        )
    return Chain(links, listen, elsewhere)


def _made(spec: FilterSpec, context: Context) -> Any:
    return FILTERS[spec.kind](spec, context)


def with_gold(recipe: Recipe) -> list[tuple[int | None, FilterSpec]]:
    """Returns the filters as they run, with their places in the recipe (None: added by us)."""
    specs: list[tuple[int | None, FilterSpec]] = [*in_order(recipe.filter)]
    if recipe.data.gold is not None and all(spec.kind != "not_in_gold" for _, spec in specs):
        place = next((at for at, (_, spec) in enumerate(specs) if asks(spec)), len(specs))
        specs.insert(place, (None, NotInGoldFilter()))
    return specs


def written_fields(recipe: Recipe) -> tuple[str, ...]:
    """Returns the fields that a teacher writes freely or chooses, in recipe order."""
    fields = recipe.generate.fields if recipe.generate else {}
    return tuple(name for name, spec in fields.items() if isinstance(spec, AskField))


def sometimes_written(recipe: Recipe) -> frozenset[str]:
    """Returns those of them that a condition may leave empty."""
    fields = recipe.generate.fields if recipe.generate else {}
    asked = {name: spec for name, spec in fields.items() if isinstance(spec, AskField)}
    return frozenset(name for name, spec in asked.items() if spec.when and not spec.otherwise)


def _with_verdicts(row: Row, said: tuple[Verdict, ...]) -> Row:
    # Not dataclasses.replace, which takes four times as long.
    return Row(row.id, row.fields, row.status, row.reason, row.score, row.verdicts + said)


async def _through(links: Sequence[Link], rows: Sequence[Row]) -> list[Judged]:
    """Each row after some filters, in the order of the rows; who is dropped meets no further one.

    Its verdicts are not yet the row's own.
    """
    if len(links) == 1:
        return [(row, (verdict,)) for row, verdict in await _pass(links[0], rows)]
    ends, said = list(rows), [list[Verdict]() for _ in rows]
    alive: Sequence[int] = range(len(ends))
    for link in links:
        judged = await _pass(link, [ends[at] for at in alive])
        for at, (row, verdict) in zip(alive, judged, strict=True):
            ends[at] = row
            said[at].append(verdict)
        alive = [at for at in alive if ends[at].status == "accepted"]
    return list(zip(ends, map(tuple, said), strict=True))


def _kept(judged: Sequence[Judged], links: int) -> list[int]:
    """How many rows each of some links kept."""
    dropped = Counter(len(said) for row, said in judged if row.status != "accepted")
    left, kept = len(judged), []
    for at in range(1, links + 1):
        left -= dropped[at]
        kept.append(left)
    return kept


async def _pass(link: Link, rows: Sequence[Row]) -> list[tuple[Row, Verdict]]:
    """The rows after one filter, in their order, with what it said; verdicts are not yet theirs."""
    needs = link.filter.needs
    whole = [row for row in rows if None not in map(row.fields.get, needs)]
    given = link.filter.verdicts(whole)
    verdicts = await given if inspect.isawaitable(given) else given
    if len(verdicts) != len(whole):
        raise RunError(f"filter {link.name} gave {len(verdicts)} verdicts on {len(whole)} rows")
    if len(whole) == len(rows):
        return [_apply(link, row, outcome) for row, outcome in zip(rows, verdicts, strict=True)]
    by_id = {row.id: verdict for row, verdict in zip(whole, verdicts, strict=True)}
    missing = Verdict(link.name, False, "missing_field")
    return [_apply(link, row, by_id.get(row.id, missing)) for row in rows]


def _apply(link: Link, row: Row, outcome: Outcome) -> tuple[Row, Verdict]:
    if isinstance(outcome, Edited):
        if outcome.fields:
            row = replace(row, fields={**row.fields, **outcome.fields})
        verdict = outcome.verdict
    else:
        verdict = outcome
    if verdict.keep:
        if link.filter.quality and verdict.score != row.score:
            row = replace(row, score=verdict.score)
        return row, verdict
    if link.restored:
        kept = replace(verdict, keep=True, reason=f"restored:{verdict.reason or link.name}")
        return row, kept
    # "refusal", not "refusal:refusal": a reason that only repeats the name adds nothing.
    adds = verdict.reason and verdict.reason != link.name
    reason = f"{link.name}:{verdict.reason}" if adds else link.name
    return replace(row, status="rejected", reason=reason, score=verdict.score), verdict
