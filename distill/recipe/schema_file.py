"""The recipe's JSON Schema for editors: `python -m distill.recipe.schema_file` writes it."""

import json
from pathlib import Path
from typing import Any

from distill.recipe.load import bundled_folder
from distill.recipe.schema import Recipe

ADDRESS = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe as YAML writes it."""
    schema = Recipe.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    schema["properties"]["filter"]["items"] = _filters(
        schema["properties"]["filter"]["items"], definitions
    )
    plain: dict[str, Any] = _plain(schema)
    return {
        "$schema": ADDRESS,
        "title": "A distill recipe",
        **{k: plain[k] for k in plain if k != "title"},
    }


def schema_text() -> str:
    """The content of schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _filters(items: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """`- refusal`, `- length: {...}` and `- {kind: length, ...}` are all allowed."""
    references = items["discriminator"]["mapping"]
    options = {}
    for name, reference in references.items():
        model = definitions[reference.rpartition("/")[2]]
        below = {key: value for key, value in model["properties"].items() if key != "kind"}
        options[name] = {
            "type": ["object", "null"],
            "description": model["description"],
            "properties": below,
            "additionalProperties": model["additionalProperties"],
        }
    one_key = {
        "type": "object",
        "properties": options,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    written_out = {key: value for key, value in items.items() if key != "discriminator"}
    written_out = {"required": ["kind"], **written_out}
    return {"anyOf": [{"enum": sorted(references)}, one_key, written_out]}


def _plain(node: Any) -> Any:
    """Without OpenAPI's discriminators; a class that serves several kinds may match more often."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value) for key, value in node.items() if key != "discriminator"}
    if "oneOf" in plain:
        once = {json.dumps(option, sort_keys=True): option for option in plain.pop("oneOf")}
        plain["anyOf"] = list(once.values())
    return plain


def main(path: Path | None = None) -> None:
    """Writes recipes/schema.json."""
    (path or bundled_folder() / "schema.json").write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
