"""Writes the generated files: recipes/schema.json and recipes/report.schema.json."""

import json
from pathlib import Path

from distill.recipe.schema_file import json_schema as recipe_schema
from distill.report.model import json_schema as report_schema

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def main() -> None:
    for name, schema in (("schema.json", recipe_schema()), ("report.schema.json", report_schema())):
        path = RECIPES / name
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.relative_to(RECIPES.parent))


if __name__ == "__main__":
    main()
