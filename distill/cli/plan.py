"""Commands that look ahead: estimate, doctor."""

from pathlib import Path
from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.cli.recipe import RecipeArg, SetOption

FINDINGS = 2
"""Exit code of a doctor that found something."""


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("estimate")(estimate)
    app.command("doctor")(doctor)


def estimate(
    context: typer.Context,
    recipe: RecipeArg,
    overrides: SetOption = None,
    processes: Annotated[
        int | None, typer.Option("--num-processes", min=1, help="Training processes.")
    ] = None,
) -> None:
    """Forecast what a recipe will take, without asking anybody: GPU memory by ZeRO stage."""
    from distill.recipe.expand import expand
    from distill.recipe.load import load_recipe
    from distill.run.forecast import forecast_text, memory_forecast

    output: Output = context.obj
    loaded = expand(load_recipe(recipe, overrides or ()))
    given = loaded.train.processes if loaded.train else None
    memory = memory_forecast(loaded, processes=processes or given or 1)
    output.result({"gpu_memory": memory}, forecast_text(memory))


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
    from distill.run.doctor import examine

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
