"""Writes the generated files: schemas, references, tables of recipes and of memory."""

import json
import re
import sys
from pathlib import Path

import click
import typer.cli
import typer.main

from distill.cli.main import build_app
from distill.plan.memory import table
from distill.plan.shape import Shape, shape_of, shipped_shapes
from distill.recipe.load import bundled_recipes
from distill.recipe.schema_file import schema_text
from distill.report.model import json_schema as report_schema

sys.path.insert(0, str(Path(__file__).parent))
from recipe_reference import recipe_reference

ROOT = Path(__file__).resolve().parents[1]
RECIPES = re.compile(r"(?<=<!-- recipes -->\n).*?(?=<!-- /recipes -->)", re.DOTALL)
TABLE = re.compile(r"(?<=<!-- memory -->\n).*?(?=<!-- /memory -->)", re.DOTALL)


HEAD = "<!-- Written by `make docs` from the code; a test holds it to it. -->\n\n"


def main() -> None:
    for name, text in texts().items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(name)


def texts() -> dict[str, str]:
    """Path from the root -> what the file must hold."""
    report = json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    recipes = (ROOT / "recipes/README.md").read_text(encoding="utf-8")
    return {
        "recipes/schema.json": schema_text(),
        "recipes/report.schema.json": report,
        "recipes/README.md": RECIPES.sub(lambda _: recipes_table(), recipes),
        "README.md": RECIPES.sub(
            lambda _: short_table(), TABLE.sub(lambda _: table(_shapes()) + "\n", readme)
        ),
        "docs/commands.md": HEAD + _commands(),
        "docs/recipe.md": recipe_reference(),
    }


def _commands() -> str:
    """The help of every command, as typer writes it."""
    command = typer.main.get_command(build_app())
    with click.Context(command, info_name="distill") as context:
        return typer.cli.get_docs_for_click(obj=command, ctx=context, name="distill")


def recipes_table() -> str:
    """The bundled recipes as a Markdown table, from their own headers."""
    rows = [
        "| recipe | what it shows | hardware | wall time and cost | method and source "
        "| our deviation | last run |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in bundled_recipes():
        name = one.name if one.path.parent.name == "recipes" else f"{one.name} (examples/)"
        cells = (name, one.what, one.hardware, one.takes, one.source, one.deviation, one.last_run)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def short_table() -> str:
    """Each bundled recipe in a line: what it shows, on what."""
    rows = [f"| {one.name} | {one.what} | {one.hardware} |" for one in bundled_recipes()]
    return "\n".join(("| recipe | what it shows | hardware |", "|---|---|---|", *rows)) + "\n"


def _shapes() -> dict[str, Shape]:
    found = {name: shape_of(config) for name, config in shipped_shapes().items()}
    return {name.split("/")[1]: shape for name, shape in found.items() if shape is not None}


if __name__ == "__main__":
    main()
