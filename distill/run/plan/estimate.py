"""Works out what generation will take: from the prompts, or from a pilot of a few rows."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.errors import RecipeError
from distill.generate.propose import Proposal, Proposer
from distill.generate.steps import Step, choices_of
from distill.measure.intervals import proportion, student_t
from distill.plan.estimate import NOTHING, Load, Span, Terms, estimate, needed, tokens_of
from distill.progress import Listener, silent
from distill.recipe.check import check
from distill.recipe.expand import expand
from distill.recipe.generation import AskField, PythonField, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.rows.readers import read_numbered
from distill.rows.row import Row
from distill.run.plan.estimate_evaluation import evaluation_estimate
from distill.run.plan.sample import Sample, take_sample
from teachers.config import OpenAITeacher
from teachers.credentials import is_openai, urls_of
from teachers.prices import price_of

LOOKED_AT = 50
"""Proposals whose prompts are rendered."""
SHORT_ANSWER = 20
"""Tokens of a short answer, where only the longest is known."""


def estimate_recipe(
    recipe: Recipe,
    pilot: int | None = None,
    listen: Listener = silent,
    run_dir: Path | None = None,
) -> dict[str, Any]:
    """Calls, tokens, money and time of the recipe's generation, each with an interval.

    `evaluation` has those of what evaluation asks of teachers, beside them.

    `pilot` asks so many rows first; their answers stay in the store, their cost is booked in the
    ledger of the run in `run_dir`.
    Figures are null where the recipe generates nothing.

    Raises: RecipeError for what `check` finds.
    """
    recipe = expand(recipe)
    if (problems := check(recipe, os.environ, read_numbered).problems) and pilot is None:
        raise RecipeError(str(problems[0]), problems)
    if recipe.generate is None:
        nothing = dict.fromkeys(
            ("candidates", "accept", "calls", "tokens", "usd", "seconds", "pilot")
        )
        evaluation = evaluation_estimate(recipe, _terms(recipe, {}))
        notes = ["nothing is generated"]
        return {"name": recipe.name, **nothing, "evaluation": evaluation, "notes": notes}
    proposer = Proposer(recipe)
    accept, ceiling = recipe.generate.accept, proposer.ceiling
    notes = []
    latency: dict[str, float] = {}
    found = None
    if pilot is None:
        loads = _static(recipe, proposer, notes)
        candidates = needed(accept, ceiling, None)
    else:
        sample = take_sample(recipe, pilot, listen, run_dir)
        loads, latency = _measured(recipe, sample, notes)
        kept = _yield(sample)
        candidates = needed(accept, ceiling, kept)
        found = _pilot(sample, kept)
        if accept is not None and candidates.high >= ceiling:
            notes.append(f"the ceiling of {ceiling} candidates may be reached before the target")
    figures = estimate(candidates, loads, _terms(recipe, latency), _levels(proposer.steps))
    if figures["usd"]["online"] is None:
        notes.append("no price is known for a teacher: give `price: {input, output}`")
    return {
        "name": recipe.name,
        "candidates": candidates.as_dict(whole=True),
        "accept": accept,
        **figures,
        "pilot": found,
        "evaluation": evaluation_estimate(recipe, _terms(recipe, latency)),
        "notes": notes,
    }


def _terms(recipe: Recipe, latency: Mapping[str, float]) -> dict[str, Terms]:
    terms = {}
    for name, config in recipe.teachers.items():
        price = price_of(config)
        own = isinstance(config, OpenAITeacher) and all(map(is_openai, urls_of(config)))
        terms[name] = Terms(
            config.concurrency,
            (price.input, price.output) if price else None,
            own,
            config.rpm,
            config.tpm if isinstance(config.tpm, int) else None,
            latency.get(name),
        )
    return terms


def _static(recipe: Recipe, proposer: Proposer, notes: list[str]) -> list[Load]:
    """The load of one candidate from rendered prompts; texts to come are as long as they may be."""
    proposals = proposer.propose(min(LOOKED_AT, proposer.ceiling))
    totals: dict[str, Load] = {}
    for proposal in proposals:
        for load in _loads(recipe, proposer.steps, proposal):
            before = totals.get(load.teacher, Load(load.teacher, NOTHING, NOTHING, NOTHING))
            totals[load.teacher] = Load(
                load.teacher,
                before.calls + load.calls,
                before.input_tokens + load.input_tokens,
                before.output_tokens + load.output_tokens,
            )
    if any(isinstance(step.spec, PythonField) and step.spec.ask for step in proposer.steps):
        notes.append("what python fields ask is not known beforehand: use --pilot N")
    notes.append(
        "from the prompts: answers between short and max_tokens, tokens of 3 to 5 bytes, and all "
        "candidates kept at best; --pilot N measures"
    )
    share = 1 / len(proposals)
    return [
        Load(t, load.calls * share, load.input_tokens * share, load.output_tokens * share)
        for t, load in totals.items()
    ]


def _loads(recipe: Recipe, steps: Sequence[Step], proposal: Proposal) -> list[Load]:
    short: dict[str, Any] = dict(proposal.columns)
    long: dict[str, Any] = dict(proposal.columns)
    loads = []
    for step in steps:
        spec = step.spec
        if isinstance(spec, SampleField):
            short |= proposal.drawn[step.name]
            long |= proposal.drawn[step.name]
        elif isinstance(spec, AskField):
            times = spec.count or spec.votes
            prompt = Span(
                (_size(step, short).value + _size(step, long).value) / 2,
                _size(step, short).low,
                _size(step, long).high,
            )
            most = spec.max_tokens or recipe.teachers[spec.ask].max_tokens
            answer = _answer(recipe, step, spec, most)
            loads.append(
                Load(
                    spec.ask,
                    # A row that is rejected early, or needs no answer, asks less.
                    Span(times, 0 if spec.when else times, times),
                    prompt * times,
                    answer * times,
                )
            )
            short |= _stand_ins(step, spec, "word " * min(SHORT_ANSWER, most))
            long |= _stand_ins(step, spec, "word " * most)
        else:
            short[step.name], long[step.name] = _rendered(step, short), _rendered(step, long)
    return loads


def _answer(recipe: Recipe, step: Step, spec: AskField, most: int) -> Span:
    choices = choices_of(recipe, step.name, spec)
    if choices is not None:
        longest = max(tokens_of(choice).high - 12 for choice in choices)
        return Span(min(most, 4), 1, min(most, max(2, longest)))
    low = min(SHORT_ANSWER, most)
    return Span(math.sqrt(low * most), low, most)


def _stand_ins(step: Step, spec: AskField, text: str) -> dict[str, Any]:
    value: Any = [text] * spec.count if spec.count else text
    names = ("", "_votes", "_p", "_finish")
    return {step.name: value, **{step.name + name: "" for name in names[1:]}}


def _size(step: Step, values: Mapping[str, Any]) -> Span:
    return tokens_of(_rendered(step, values))


def _rendered(step: Step, values: Mapping[str, Any]) -> str:
    """The rendered text; the template itself where it needs the shape of an answer to come."""
    if step.template is None:
        return ""
    try:
        return step.template.render({"row": values, **values})
    except RecipeError:
        return step.template.text


def _levels(steps: Sequence[Step]) -> int:
    """How many asks of one row wait for each other."""
    depth: dict[str, int] = {}
    for step in steps:
        names = step.template.names if step.template else frozenset()
        before = max((depth.get(name, 0) for name in names), default=0)
        asks = isinstance(step.spec, AskField) or (
            isinstance(step.spec, PythonField) and step.spec.ask is not None
        )
        depth[step.name] = before + asks
        if isinstance(step.spec, RenderField):
            depth[step.name] = before
    return max(depth.values(), default=0)


def _measured(
    recipe: Recipe, sample: Sample, notes: list[str]
) -> tuple[list[Load], dict[str, float]]:
    """The load of one candidate, and the seconds of a call, as the pilot found them."""
    rows = max(1, len(sample.candidates))
    loads, latency = [], {}
    for name, calls in sample.by_teacher.items():
        each = _calls_per_row(len(calls), rows)
        loads.append(
            Load(
                name,
                each,
                each * _mean([call.input_tokens for call in calls], rows),
                each * _mean([call.output_tokens for call in calls], rows),
            )
        )
        if not any(call.stored for call in calls):
            at_once = min(recipe.teachers[name].concurrency, rows)
            latency[name] = sample.seconds * at_once / len(calls)
    if len(latency) < len(sample.by_teacher):
        notes.append("the pilot's answers were stored already, so they say nothing of the time")
    notes.append(
        "filters for duplicates drop more as rows become many: the yield of a pilot is at its best"
    )
    return loads, latency


def _calls_per_row(calls: int, rows: int) -> Span:
    """What every row asks, and the share of rows that asks once more, by Wilson's interval."""
    whole, more = divmod(calls, rows)
    share = proportion(more, rows)
    if not more or share.value is None or share.low is None or share.high is None:
        return Span(whole, whole, whole)
    return Span(whole + share.value, whole + share.low, whole + share.high)


def _mean(values: Sequence[int], rows: int) -> Span:
    """Mean tokens of a call with its t-interval; calls of one row may be alike, so rows count."""
    mean, n = statistics.mean(values), min(rows, len(values))
    if n < 2:  # one row says nothing of how they differ
        return Span(mean, mean / 10, mean * 10)
    half = student_t(n - 1) * statistics.stdev(values) / math.sqrt(n)
    return Span(mean, max(0.0, mean - half), mean + half)


def _yield(sample: Sample) -> Span:
    accepted = sum(row.status == "accepted" for row in sample.sifted)
    share = proportion(accepted, len(sample.candidates))
    if share.value is None or share.low is None or share.high is None:
        return Span(0.0, 0.0, 1.0)
    return Span(share.value, share.low, share.high)


def _pilot(sample: Sample, kept: Span) -> dict[str, Any]:
    accepted = sum(row.status == "accepted" for row in sample.sifted)
    tokens = sum(call.input_tokens + call.output_tokens for call in sample.calls)
    return {
        "rows": len(sample.candidates),
        "accepted": accepted,
        "yield": {**kept.as_dict(), "n": len(sample.candidates)},
        "filters": _passed(sample.candidates, sample.sifted),
        "tokens_per_accepted": tokens / accepted if accepted else None,
        "usd": sample.cost["usd"],
        "seconds": sample.seconds,
    }


def _passed(candidates: Sequence[Row], sifted: Sequence[Row]) -> list[dict[str, Any]]:
    """How many rows each step was given and how many it let through, in order."""
    answered = sum(row.status == "accepted" for row in candidates)
    passed = [("generate", len(candidates), answered)]
    counts: dict[str, list[int]] = {}
    for row in sifted:
        for verdict in row.verdicts:
            seen = counts.setdefault(verdict.by, [0, 0])
            seen[0] += 1
            seen[1] += verdict.keep
    passed += [(name, given, out) for name, (given, out) in counts.items()]
    return [
        {"name": name, "in": given, "out": out, "yield": proportion(out, given).as_dict()}
        for name, given, out in passed
    ]
