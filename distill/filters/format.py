"""format: drops rows whose field is not JSON that fits a schema."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from distill.filters.filter import Context
from distill.recipe.filtering import FormatFilter
from distill.recipe.task import ExtractTask
from distill.rows.row import Row, Verdict


class Format:
    """Checks against JSON Schema (draft 2020-12); text is parsed first."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: FormatFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.output,)
        schema = spec.json_schema
        if schema is None and isinstance(context.task, ExtractTask):
            schema = context.task.schema_
        try:
            Draft202012Validator.check_schema(schema or {})
        except SchemaError as error:
            raise context.refuse(f"json_schema is not a JSON Schema: {error.message}") from error
        self._validator = Draft202012Validator(schema or {})

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with not_json or schema."""
        return [self._verdict(row.fields[self.needs[0]]) for row in rows]

    def _verdict(self, value: Any) -> Verdict:
        if isinstance(value, str):
            try:
                value = json.loads(value, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                return Verdict("format", False, "not_json")
        if not self._validator.is_valid(value):
            return Verdict("format", False, "schema")
        return Verdict("format", True)


def _refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are Python's own addition; no other JSON reader takes them."""
    raise ValueError(name)
