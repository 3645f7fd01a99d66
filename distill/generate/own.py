"""Fields made by the user's own function: a row and one async `ask`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from distill.generate.steps import Step
from distill.recipe.functions import load_function
from distill.recipe.generation import PythonField
from distill.recipe.schema import Recipe
from distill.rows.row import canonical_json
from teachers.errors import BudgetReached, TeacherError
from teachers.protocol import Ask, Teacher, user

MOST_SAMPLES = 100
"""Different answers to one prompt that a function may ask for; the next row's come after them."""


class OwnField:
    """One field with its function.

    Raises: RecipeError when there is no such function.
    """

    def __init__(self, recipe: Recipe, step: Step, teachers: Mapping[str, Teacher]) -> None:
        assert isinstance(step.spec, PythonField)
        self._step = step
        self._ref = step.spec.python
        key = f"generate.fields.{step.name}.python"
        self._function = load_function(recipe, self._ref, key)
        self._asks = step.spec.ask
        self._teachers = teachers

    async def make(self, fields: Mapping[str, Any], replica: int) -> Any:
        """The field's value.

        Raises: TeacherError of an ask, or of the kind `user_code` for what the function raised.
        """
        args = {name: template.render({"row": fields, **fields})
                for name, template in self._step.args.items()}  # fmt: skip
        try:
            value = await self._function(dict(fields), self._asker(replica), **args)
            return json.loads(canonical_json(value))
        except (TeacherError, BudgetReached):
            raise
        except Exception as error:
            said = f"{self._ref}: {type(error).__name__}: {error}"
            raise TeacherError("user_code", said) from error

    def _asker(self, replica: int) -> Any:
        async def ask(
            prompt: str,
            *,
            system: str | None = None,
            sample: int = 0,
            choices: Sequence[str] | None = None,
            schema: Mapping[str, Any] | None = None,
            max_tokens: int | None = None,
        ) -> Any:
            """Asks the field's teacher; returns the text, with a schema the parsed object."""
            if self._asks is None:
                raise ValueError("this field names no teacher: give `ask: TEACHER` beside `python`")
            if not 0 <= sample < MOST_SAMPLES:
                raise ValueError(f"sample must be from 0 to {MOST_SAMPLES - 1}")
            answer = await self._teachers[self._asks].ask(
                Ask(
                    user(prompt, system),
                    sample=replica * MOST_SAMPLES + sample,
                    choices=tuple(choices) if choices else None,
                    schema=schema,
                    max_tokens=max_tokens,
                )
            )
            return json.loads(answer.text) if schema is not None else answer.text.strip()

        return ask
