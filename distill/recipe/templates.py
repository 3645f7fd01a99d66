"""Sandboxed Jinja templates: what a recipe may write between braces.

A name that no step makes is an error, never empty text. Values are inserted, never evaluated. No
template can read files, include others or reach into Python objects.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from distill.errors import Problem, RecipeError
from distill.recipe.bundled_rubrics import rubric_text

MAX_LENGTH = 1_000_000
"""Longest text, list or digit run that `*` and `**` may make inside a template."""


_READERS = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which arithmetic cannot fill the memory either."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`left operator right`, within bounds."""
        if operator == "**":
            large = abs(left) > 1000 or abs(right) > 100
        else:
            sizes = [len(v) if hasattr(v, "__len__") else v for v in (left, right)]
            large = any(hasattr(v, "__len__") for v in (left, right))
            large = large and sizes[0] * sizes[1] > MAX_LENGTH
        if large:
            raise SecurityError(f"`{operator}` would make something too large")
        return super().call_binop(context, operator, left, right)


def as_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal data, equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def as_literal(value: str) -> str:
    """Text as a template that renders to just that text."""
    if not any(mark in value for mark in ("{{", "{%", "{#", "}}", "%}", "#}")):
        return value
    return "{{ " + json.dumps(value, ensure_ascii=False) + " }}"


@lru_cache(maxsize=1)
def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=StrictUndefined, autoescape=False, cache_size=0)
    environment.filters["json"] = as_json
    environment.filters["rubric"] = rubric_text
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    return environment


class Template:
    """A compiled template; `name` (a file or a key path) is what its errors call it.

    Raises: RecipeError when the text is not a template.
    """

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        environment = _environment()
        try:
            tree = environment.parse(text)
            for reader in tree.find_all(_READERS):
                raise TemplateSyntaxError("templates cannot read other templates", reader.lineno)
            self._compiled = environment.from_string(tree)
        except TemplateSyntaxError as exc:
            raise _error(name, exc.lineno, f"not a template: {exc.message}") from None
        except (RecursionError, ValueError, SyntaxError, MemoryError, OverflowError) as exc:
            raise _error(name, None, f"not a template: {exc}") from None
        self.names: frozenset[str] = frozenset(
            meta.find_undeclared_variables(tree) - set(environment.globals)
        )

    def __reduce__(self) -> tuple[type["Template"], tuple[str, str]]:
        """Its text travels; what was compiled is made anew."""
        return Template, (self.text, self.name)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with the values in place.

        Raises: RecipeError when a name is missing or the template breaks.
        """
        try:
            return self._compiled.render(values)
        except UndefinedError as exc:
            known = ", ".join(sorted(values))
            raise _error(self.name, None, f"{exc.message}", allowed=known) from None
        except (TemplateRuntimeError, ArithmeticError, RecursionError, MemoryError) as exc:
            raise _error(self.name, None, f"the template breaks: {exc}") from None
        except (TypeError, ValueError, LookupError, AttributeError) as exc:
            raise _error(self.name, None, f"the template breaks: {exc}") from None


def _error(name: str, line: int | None, found: str, allowed: str | None = None) -> RecipeError:
    problem = Problem(
        found=found,
        file=name,
        line=line,
        allowed=allowed,
        fix="Mend the template; write literal braces as {{ '{{' }}.",
    )
    return RecipeError(str(problem), [problem])
