"""The command that starts a project: init."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.output import Output


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("init")(init)


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where it is written.")] = Path(),
    template: Annotated[
        str, typer.Option("--template", help="classify, judge, grounded, format or summarize.")
    ] = "classify",
) -> None:
    """Write a recipe with sample rows that runs as it is, to be changed."""
    from distill.recipe.starters import RECIPE, write_starter

    output: Output = context.obj
    files = write_starter(template, folder)
    recipe = folder / RECIPE
    output.result(
        {"template": template, "folder": str(folder), "files": files, "recipe": str(recipe)},
        "\n".join(
            [
                *(str(folder / name) for name in files),
                "",
                f"Look:   distill check {recipe}",
                f"Try:    distill generate {recipe}      (a scripted teacher: free)",
                f"Train:  distill run {recipe}",
            ]
        ),
    )
