"""The command that says which method fits: advise."""

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.errors import UsageError

DERIVED = {
    "team_and_budget": "none, some",
    "heavy": "yes (300,000 rows a month or more, or under 100 ms), no",
    "behaviour": "yes, no",
}

YES_OR_NO = {"yes": True, "y": True, "no": False, "n": False}
DERIVED_WORDS: dict[str, dict[str, Any]] = {
    "team_and_budget": {"none": "none", "some": "some"},
    "heavy": YES_OR_NO,
    "behaviour": YES_OR_NO,
}


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("advise")(advise)


def advise(
    context: typer.Context,
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="Read what it says already.")
    ] = None,
    fact: Annotated[
        list[str] | None,
        typer.Option("--fact", metavar="NAME=VALUE", help="Answer a question; may be repeated."),
    ] = None,
) -> None:
    """Say which method fits, and why: walks a decision tree and prints the path taken."""
    from distill.plan.advise import advise as walk
    from distill.plan.facts import Facts, with_facts
    from distill.plan.rungs import rungs, told

    output: Output = context.obj
    facts, here = Facts(), None
    if recipe is not None:
        from distill.recipe.load import load_recipe
        from distill.run.plan.advice import costs_here, facts_of

        loaded = load_recipe(recipe)
        facts, here = facts_of(loaded), costs_here(loaded)
    facts = with_facts(facts, _pairs(fact or ()))
    alone = output.as_json or output.quiet or not (sys.stdin.isatty() and sys.stdout.isatty())
    found = walk(facts, None if alone or recipe is not None else _asked)
    plain = told(found, rungs(found, here))
    output.result(plain, _text(plain))


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """The facts as typed; a comma inside a number is no end of it: rows_per_month=300,000."""
    from distill.run.judge.evaluate import read_pairs

    found: dict[str, str] = {}
    for part in (part for text in texts for part in re.split(r",(?=\s*\w+\s*=)", text)):
        name, equals, value = part.partition("=")
        found |= read_pairs(f"{name}{equals}{value.replace(',', '')}", "--fact")
    return found


def _asked(fact: str, question: str, why: str) -> Any:
    """Asks a person; an empty line takes the usual answer."""
    from distill.plan.facts import choices_of, read_fact

    allowed = DERIVED.get(fact) or ", ".join(
        {True: "yes", False: "no"}.get(one, str(one)) for one in choices_of(fact)
    )
    while True:
        typer.echo(f"\n{question}\n  {why}")
        text = typer.prompt(f"  {allowed or 'a number'}", default="", show_default=False)
        if not text.strip():
            return None
        if fact in DERIVED:
            found = DERIVED_WORDS[fact].get(text.strip().lower())
            if found is not None:
                return found
            typer.echo(f"  {text.strip()!r} is none of: {DERIVED[fact]}")
            continue
        try:
            return read_fact(fact, text)
        except UsageError as error:
            typer.echo(f"  {error.message}")


def _text(found: dict[str, Any]) -> str:
    lines = []
    for step in found["path"]:
        mark = " (assumed)" if step["assumed"] else ""
        lines.append(f"- {step['question']} {_shown(step['answer'])}{mark}")
    lines += ["", "Try in this order, and climb only when the measured gap says so:"]
    for place, rung in enumerate(found["ladder"], 1):
        cost = rung["cost"]
        lines.append(f"{place}. {rung['rung']}: {rung['what']}")
        lines.append(
            f"   about {cost['once_usd']:,.0f} USD once, {cost['per_1000_usd']:.2f} USD per 1,000 "
            f"rows ({cost['basis']})"
        )
        lines.append(f"   watch: {rung['risk']}")
        if rung["starter"]:
            lines.append(f"   start: {rung['starter']['command']}")
    lines += ["", "Because " + "; ".join(found["reasons"]) + "."]
    lines += [f"Warning: {warning}" for warning in found["warnings"]]
    lines += ["", "Rows to collect:"]
    lines += [
        f"- {part['what']}: {part['rows']} ({part['where']}); {part['why']}"
        for part in found["data_plan"]
    ]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
