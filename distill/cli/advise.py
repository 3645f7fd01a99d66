"""The command that says which method fits: advise."""

import sys
from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.errors import UsageError

DERIVED = {
    "team_and_budget": "none, some",
    "heavy": "yes (300,000 rows a month or more, or under 100 ms), no",
    "behaviour": "yes, no",
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
    from distill.run.judge_eval import read_pairs

    output: Output = context.obj
    facts, here = Facts(), None
    if recipe is not None:
        from distill.recipe.load import load_recipe
        from distill.run.advice import costs_here, facts_of

        loaded = load_recipe(recipe)
        facts, here = facts_of(loaded), costs_here(loaded)
    facts = with_facts(facts, read_pairs(",".join(fact or ()), "--fact"))
    alone = output.as_json or output.quiet or not (sys.stdin.isatty() and sys.stdout.isatty())
    found = walk(facts, None if alone or recipe is not None else _asked)
    plain = told(found, rungs(found, here))
    output.result(plain, _text(plain))


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
            plain = text.strip().lower()
            return plain if fact == "team_and_budget" else plain.startswith("y")
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
