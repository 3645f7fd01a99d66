"""The command that says what a loss is: explain-loss."""

import typer

from distill.cli.output import Output
from distill.cli.recipe import RecipeArg, SetOption


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("explain-loss")(explain_loss)


def explain_loss(context: typer.Context, recipe: RecipeArg, overrides: SetOption = None) -> None:
    """Say what a recipe's loss is: formula, rules, weights, and the signals it cannot use."""
    from distill.losses.explain import as_text, explain
    from distill.recipe.load import load_recipe

    output: Output = context.obj
    found = explain(load_recipe(recipe, overrides or ()))
    output.result(found, as_text(found))
