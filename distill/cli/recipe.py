"""Commands that read a recipe and spend nothing: recipes, check."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.cli.output import Output

if TYPE_CHECKING:
    from distill.recipe.schema import Recipe

RecipeArg = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or a bundled name.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=V", help="Override a key of the recipe; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("recipes")(recipes)
    app.command("check")(check)


def recipes(context: typer.Context) -> None:
    """List the bundled recipes."""
    from distill.recipe.load import HEADERS, bundled_recipes

    output: Output = context.obj
    shown = ("name", *HEADERS)
    found = bundled_recipes()
    width = max((len(item.name) for item in found), default=0)
    output.result(
        {"recipes": [{name: getattr(item, name) for name in shown} for item in found]},
        "\n".join(f"{item.name:<{width}}  {item.what}  [{item.hardware}]" for item in found),
    )


def check(
    context: typer.Context,
    recipe: RecipeArg,
    overrides: SetOption = None,
    expanded: Annotated[
        bool, typer.Option("--expanded", help="Print the recipe with strategies as fields.")
    ] = False,
) -> None:
    """Check a recipe without asking anybody: schema, templates, files, keys."""
    import os

    from distill.errors import PrerequisiteError, RecipeError
    from distill.recipe.check import check as find_problems
    from distill.recipe.expand import expand
    from distill.recipe.load import load_recipe
    from distill.rows.readers import read_numbered

    output: Output = context.obj
    loaded = expand(load_recipe(recipe, overrides or ()))
    report = find_problems(loaded, os.environ, read_numbered)
    if report.problems:
        raise RecipeError(str(report.problems[0]), [*report.problems, *report.missing_keys])
    if report.missing_keys:
        raise PrerequisiteError(str(report.missing_keys[0]), report.missing_keys)
    if expanded:
        defaults = _training_defaults(loaded)
        found = {"ok": True, "notes": report.notes, "recipe": loaded.as_dict()}
        lines = [f"#   {name}: {one['value']}  ({one['source']})" for name, one in defaults.items()]
        if lines:
            lines.insert(0, "# training takes, where the recipe says nothing:")
        text = "\n".join([_as_yaml(loaded), *lines])
        output.result({**found, "training_defaults": defaults}, text)
        return
    output.result(
        {"ok": True, "notes": report.notes},
        "\n".join([*report.notes, f"{loaded.name}: no problem found"]),
    )


def _training_defaults(recipe: "Recipe") -> dict[str, dict[str, Any]]:
    from distill.train.defaults import table

    if recipe.train is None or recipe.student is None:
        return {}
    found = table(recipe.train, recipe.student)
    return {name: {"value": one.value, "source": one.source} for name, one in found.items()}


def _as_yaml(recipe: "Recipe") -> str:
    """The recipe as a person would write it: what differs from the defaults."""
    import yaml

    plain = recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for at, spec in enumerate(recipe.filter):
        options = {name: value for name, value in plain["filter"][at].items() if name != "kind"}
        plain["filter"][at] = {spec.kind: options} if options else spec.kind
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100).rstrip()
