"""Writes the generated files: the two schemas in recipes/, and the memory table of README.md."""

import json
import re
from pathlib import Path

from distill.plan.memory import table
from distill.plan.shape import Shape, shape_of, shipped_shapes
from distill.recipe.schema_file import schema_text
from distill.report.model import json_schema as report_schema

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.compile(r"(?<=<!-- memory -->\n).*?(?=<!-- /memory -->)", re.DOTALL)


def main() -> None:
    report = json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts = {
        "recipes/schema.json": schema_text(),
        "recipes/report.schema.json": report,
        "README.md": TABLE.sub(lambda _: table(_shapes()) + "\n", readme),
    }
    for name, text in texts.items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(name)


def _shapes() -> dict[str, Shape]:
    found = {name: shape_of(config) for name, config in shipped_shapes().items()}
    return {name.split("/")[1]: shape for name, shape in found.items() if shape is not None}


if __name__ == "__main__":
    main()
