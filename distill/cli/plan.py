"""Commands that look ahead: estimate, preview, doctor."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.cli.recipe import RecipeArg, SetOption

PaysOption = Annotated[
    str | None,
    typer.Option(
        "--run-dir", metavar="DIR", help="The run whose budget pays; default ./runs/NAME."
    ),
]
FINDINGS = 2
"""Exit code of a doctor that found something."""


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("estimate")(estimate)
    app.command("preview")(preview)
    app.command("doctor")(doctor)


def estimate(
    context: typer.Context,
    recipe: RecipeArg,
    pilot: Annotated[
        int | None, typer.Option("--pilot", min=1, metavar="N", help="Ask N rows first.")
    ] = None,
    run_dir: PaysOption = None,
    overrides: SetOption = None,
    processes: Annotated[
        int | None, typer.Option("--num-processes", min=1, help="Training processes.")
    ] = None,
) -> None:
    """Say what a recipe will take: calls, tokens, money, time, and GPU memory by ZeRO stage."""
    from distill.recipe.expand import expand
    from distill.recipe.load import load_recipe
    from distill.run.plan.estimate import estimate_recipe
    from distill.run.plan.forecast import forecast_text, memory_forecast

    output: Output = context.obj
    loaded = expand(load_recipe(recipe, overrides or ()))
    with output.progress() as listen:
        found = estimate_recipe(loaded, pilot, listen, Path(run_dir) if run_dir else None)
    given = loaded.train.processes if loaded.train else None
    memory = memory_forecast(loaded, processes=processes or given or 1)
    text = "\n\n".join(filter(None, (_estimate_words(found), forecast_text(memory))))
    output.result({**found, "gpu_memory": memory}, text)


def preview(
    context: typer.Context,
    recipe: RecipeArg,
    count: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many rows.")] = 5,
    run_dir: PaysOption = None,
    overrides: SetOption = None,
) -> None:
    """Show a few rows through generate and filter; the run itself does not pay for them again."""
    from distill.recipe.load import load_recipe
    from distill.run.plan.sample import preview as take

    output: Output = context.obj
    with output.progress() as listen:
        loaded = load_recipe(recipe, overrides or ())
        found = take(loaded, count, listen, Path(run_dir) if run_dir else None)
    output.result(found, "\n\n".join(_row_words(row) for row in found["rows"]))


def doctor(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: Annotated[
        str | None, typer.Option("--run-dir", metavar="DIR", help="Look at its dataset's rows.")
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Look a training over before it starts: tokenizers, masks, models, memory, disk, launcher."""
    from distill.recipe.load import load_recipe
    from distill.run.directory import RUNS
    from distill.run.plan.doctor import examine

    output: Output = context.obj
    loaded = load_recipe(recipe, overrides or ())
    folder = Path(run_dir) if run_dir else Path(RUNS) / loaded.name
    found = examine(loaded, folder)
    output.result(found, _told(found))
    if not found["ok"]:
        raise typer.Exit(FINDINGS)


def _told(found: dict[str, Any]) -> str:
    marks = {"ok": "ok     ", "finding": "FINDING", "skipped": "-      "}
    lines = []
    for look in found["checks"]:
        fix = f" {look['fix']}" if look["fix"] and look["state"] == "finding" else ""
        lines.append(f"{marks[look['state']]}  {look['check']:<17}  {look['told']}.{fix}")
    for mask in found["masks"]:
        runs = ("[" + run["text"] + "]" if run["learnt"] else run["text"] for run in mask["runs"])
        lines.append(f"\nrow {mask['row']}, learnt tokens in brackets:\n{''.join(runs)}")
    return "\n".join(lines)


def _row_words(row: dict[str, Any]) -> str:
    reason = f" ({row['reason']})" if row["reason"] else ""
    lines = [f"{row['id']}  {row['status']}{reason}"]
    for name, value in row["fields"].items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        flat = " ".join(shown.split())
        lines.append(f"  {name}: {flat[:300]}{' ...' if len(flat) > 300 else ''}")
    return "\n".join(lines)


def _estimate_words(found: dict[str, Any]) -> str:
    if found["calls"] is None:
        return "\n".join(_evaluation_words(found["evaluation"]))
    lines = [
        f"{'candidates':<14} {_between(found['candidates'])}",
        f"{'calls':<14} {_between(found['calls'])}",
        f"{'input tokens':<14} {_between(found['tokens']['input'])}",
        f"{'output tokens':<14} {_between(found['tokens']['output'])}",
    ]
    for way in ("online", "batch"):
        usd, seconds = found["usd"][way], found["seconds"][way]
        if way == "batch" and usd is None and seconds is None:
            continue
        money = _between(usd, "{:.4g}") + " USD" if usd else "no known price"
        time = _between({k: v / 60 for k, v in seconds.items()}, "{:.3g}") + " minutes" if (
            seconds) else "time not known"  # fmt: skip
        lines.append(f"{way:<14} {money}; {time}")
    lines += _evaluation_words(found["evaluation"])
    if found["pilot"]:
        pilot = found["pilot"]
        lines.append(f"pilot: {pilot['accepted']} of {pilot['rows']} rows were accepted")
        lines += [
            f"  {step['name']:<16} {step['out']} of {step['in']}" for step in pilot["filters"]
        ]
        if pilot["tokens_per_accepted"]:
            lines.append(f"  {pilot['tokens_per_accepted']:.0f} tokens for each accepted row")
    return "\n".join([*lines, *(f"note: {note}" for note in found["notes"])])


def _evaluation_words(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    usd = found["usd"]["online"]
    money = _between(usd, "{:.4g}") + " USD" if usd else "no known price"
    systems = ", ".join(f"{name} {calls['value']:,}" for name, calls in found["asked"].items())
    return [f"{'evaluation':<14} {_between(found['calls'])} calls; {money} ({systems})"]


def _between(span: dict[str, float], form: str = "{:,.0f}") -> str:
    value, low, high = (form.format(span[name]) for name in ("value", "low", "high"))
    return value if low == high else f"{value} ({low} to {high})"
