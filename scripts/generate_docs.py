"""Writes the generated files: recipes/schema.json and recipes/report.schema.json."""

import json
from pathlib import Path

from distill.recipe.schema_file import schema_text
from distill.report.model import json_schema as report_schema

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


def main() -> None:
    report = json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"
    for name, text in (("schema.json", schema_text()), ("report.schema.json", report)):
        path = RECIPES / name
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(RECIPES.parent))


if __name__ == "__main__":
    main()
