"""format: drops rows whose field is not JSON, YAML or Markdown of the right form."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from distill.filters.filter import Context, text_of_value
from distill.filters.markdown import markdown_fault
from distill.recipe.filtering import FormatFilter
from distill.recipe.task import ExtractTask
from distill.rows.row import Row, Verdict


class Format:
    """Text is parsed first; JSON and YAML are checked against JSON Schema (draft 2020-12)."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: FormatFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.output,)
        self._as = spec.as_
        self._sections = tuple(spec.sections)
        schema = spec.json_schema
        if schema is None and isinstance(context.task, ExtractTask):
            schema = context.task.schema_
        try:
            Draft202012Validator.check_schema(schema or {})
        except SchemaError as error:
            raise context.refuse(f"json_schema is not a JSON Schema: {error.message}") from error
        self._validator = Draft202012Validator(schema or {})

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with not_json, not_yaml or schema; Markdown with what is wrong with it."""
        return [self._verdict(row.fields[self.needs[0]]) for row in rows]

    def _verdict(self, value: Any) -> Verdict:
        if self._as == "markdown":
            fault = markdown_fault(text_of_value(value), self._sections)
            return Verdict("format", fault is None, fault)
        if isinstance(value, str):
            try:
                value = _json(value) if self._as == "json" else _yaml(value)
            except (ValueError, RecursionError):
                return Verdict("format", False, f"not_{self._as}")
        if not self._validator.is_valid(value):
            return Verdict("format", False, "schema")
        return Verdict("format", True)


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse_constant)


def _yaml(text: str) -> Any:
    """A YAML mapping or list; bare text, which YAML also takes, is none.

    Raises: ValueError, also for aliases, which can unfold to any size.
    """
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise ValueError("an alias")
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if not isinstance(value, dict | list):
        raise ValueError("neither a mapping nor a list")
    # Dates and other tags of YAML's own become text: a JSON Schema knows no more than JSON.
    return json.loads(json.dumps(value, default=str, skipkeys=False))


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are Python's own addition; no other JSON reader takes them."""
    raise ValueError(name)
