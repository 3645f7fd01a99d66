import jsonschema
import pytest
import yaml

from distill.recipe.load import bundled_folder, bundled_recipes
from distill.recipe.schema_file import json_schema, schema_text
from distill.recipe.yaml_file import read_yaml

FITS = jsonschema.Draft202012Validator(json_schema())
"""Made once: looking the schema over takes a second."""
BASE = "{version: 1, name: a, task: {kind: generate}, filter: [FILTER]}"


def test_shipped_schema_is_fresh() -> None:
    """recipes/schema.json is what the schema classes say today."""
    shipped = (bundled_folder() / "schema.json").read_text("utf-8")
    assert shipped == schema_text(), "Type: python -m distill.recipe.schema_file"


def test_bundled_recipes_fit() -> None:
    """An editor shows no error in the recipes that are shipped."""
    FITS.check_schema(json_schema())
    for bundled in bundled_recipes():
        FITS.validate(read_yaml(bundled.path).data)


@pytest.mark.parametrize(
    "written", ["refusal", "length: {words: [1, 2]}", "{kind: length}", "refusal:"]
)
def test_filters_as_yaml_writes_them(written: str) -> None:
    """A filter is a name, a name with options, or a mapping with its kind."""
    written = written if written.startswith("{") or ":" not in written else f"{{{written}}}"
    FITS.validate(yaml.safe_load(BASE.replace("FILTER", written)))


@pytest.mark.parametrize(
    "written", ["nope", "{length: {wordz: 1}}", "{length: {}, refusal: {}}", "3"]
)
def test_wrong_filters_are_marked(written: str) -> None:
    """An editor marks unknown filters and options."""
    with pytest.raises(jsonschema.ValidationError):
        FITS.validate(yaml.safe_load(BASE.replace("FILTER", written)))
