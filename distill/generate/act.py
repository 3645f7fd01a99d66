"""What an `Action: name[input]` gives back: the documents' or the row's passages, or a sum."""

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from distill.generate.sources import Sources
from distill.recipe.functions import load_function
from distill.recipe.generation import TOOLS
from distill.recipe.schema import Recipe
from teachers.errors import BudgetReached, TeacherError

MOST_CHARACTERS = 1200
"""Of one observation: a trace has several."""
FOUND = 2
"""Passages that a search gives back."""
_ACTION = re.compile(r"Action:\s*([\w-]+)\s*\[(.*?)\]\s*(?=\n|$)", re.DOTALL)
_WORD = re.compile(r"\w+")


class Tools:
    """The tools of one field."""

    def __init__(
        self, recipe: Recipe, tools: Mapping[str, str], sources: Sources, key: str
    ) -> None:
        self._tools = dict(tools)
        self._index: Index | None = None
        if "documents" in tools.values():
            self._index = Index([_shown(part.as_dict()) for part in sources.passages(None)])
        self._own = {
            name: load_function(recipe, what, f"{key}.tools.{name}")
            for name, what in tools.items()
            if what not in TOOLS
        }
        self._passages = getattr(recipe.task, "passages", "passages")

    async def use(self, text: str, fields: Mapping[str, Any]) -> str:
        """What the last action of a text gives back; nothing where there is none, or at the end.

        An action that cannot be carried out gives back why: the next thought may mend it.
        Raises: TeacherError("user_code") for what a tool of the user's raised.
        """
        actions = _ACTION.findall(text)
        if not actions or actions[-1][0] == "finish":
            return ""
        name, wanted = actions[-1]
        if name in self._own:
            return await self._call(self._own[name], name, wanted)
        kind = self._tools.get(name)
        if kind == "calculator":
            return calculate(wanted)
        if kind == "documents" and self._index is not None:
            return _joined(self._index.find(wanted))
        if kind == "passages":
            given = fields.get(self._passages)
            texts = [_shown(part) for part in given] if isinstance(given, list) else []
            return _joined(Index(texts).find(wanted))
        return f"There is no action {name!r}. Actions: {', '.join([*self._tools, 'finish'])}."

    async def _call(self, tool: Callable[[str], Awaitable[Any]], name: str, wanted: str) -> str:
        try:
            return str(await tool(wanted))[:MOST_CHARACTERS]
        except (TeacherError, BudgetReached):
            raise
        except Exception as error:
            said = f"the tool {name}: {type(error).__name__}: {error}"
            raise TeacherError("user_code", said) from error


class Index:
    """Texts by their words, ranked by BM25 (Robertson and Zaragoza 2009; k1 1.5, b 0.75)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._counts = [Counter(_words(text)) for text in texts]
        self._sizes = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._sizes) / max(1, len(texts)) or 1.0
        self._places: dict[str, list[int]] = {}
        for at, counts in enumerate(self._counts):
            for word in counts:
                self._places.setdefault(word, []).append(at)

    def find(self, query: str, count: int = FOUND) -> list[str]:
        """The texts that fit best, the first of equals first; none where no word is shared."""
        scores: dict[int, float] = {}
        for word in dict.fromkeys(_words(query)):
            places = self._places.get(word, [])
            rare = math.log(1 + (len(self._texts) - len(places) + 0.5) / (len(places) + 0.5))
            for at in places:
                often = self._counts[at][word]
                long = 1.5 * (0.25 + 0.75 * self._sizes[at] / self._mean)
                scores[at] = scores.get(at, 0.0) + rare * often * 2.5 / (often + long)
        best = sorted(scores, key=lambda at: (-scores[at], at))[:count]
        return [self._texts[at] for at in best]


def calculate(text: str) -> str:
    """The value of an arithmetic expression, or what is wrong with it."""
    try:
        value = _value(
            ast.parse(text.strip().replace("^", "**").replace(",", ""), mode="eval").body
        )
        return f"{value:.10g}"
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        return f"Not to be calculated: {error}"


_SIGNS: Mapping[type, Callable[[Any, Any], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: math.pow,
}  # fmt: skip


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number) if abs(number) > 2**53 else number
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_value(left), _value(right))
    raise ValueError("only numbers and + - * / // % ** ( ) are understood")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _shown(passage: Any) -> str:
    if not isinstance(passage, Mapping):
        return str(passage)
    title, text = passage.get("title"), passage.get("text", "")
    return f"{title}: {text}" if title else str(text)


def _joined(found: Sequence[str]) -> str:
    if not found:
        return "Nothing was found."
    share = MOST_CHARACTERS // len(found)
    return "\n".join(text if len(text) <= share else f"{text[:share]} ..." for text in found)
