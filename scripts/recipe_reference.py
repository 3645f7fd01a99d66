"""Every key of a recipe as Markdown, read from the schema classes."""

import inspect
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from distill.recipe.schema import Recipe

HEAD = """# Recipe reference

Written by `make docs` from the schema classes; a test holds it to them. `recipes/schema.json` says
the same to editors. Every stage is optional. Unknown and duplicate keys are errors. Paths are
relative to the recipe.
"""
BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def recipe_reference() -> str:
    """The whole page."""
    parts = [HEAD, *_table(Recipe.model_fields)]
    for key, field in Recipe.model_fields.items():
        models = list(dict.fromkeys(_models(field.annotation)))
        if models:
            parts += [f"\n## `{key}`\n", *_sections(models, level=3, alone=len(models) == 1)]
    return "\n".join(parts) + "\n"


def _sections(models: list[type[BaseModel]], level: int, alone: bool = False) -> Iterator[str]:
    """One section a class, and behind it the classes that only its keys lead to."""
    seen = set(models)
    shared = _shared(models)
    if shared:
        yield f"\n{'#' * level} Every kind\n"
        yield from _table(shared)
    for model in models:
        fields = {k: v for k, v in _own_fields(model, models).items() if k not in shared}
        if not alone:
            yield f"\n{'#' * level} {_title(model, models)}\n"
        yield _sentence(model) + "\n"
        yield from _table(fields)
        for field in (shared if model is models[0] else {}) | fields:
            below = dict.fromkeys(_models(model.model_fields[field].annotation))
            fresh = [found for found in below if found not in seen]
            seen.update(fresh)
            several = len(fresh) > 1
            if several:
                yield f"\n{'#' * (level + 1)} `{field}`\n"
            yield from _sections(fresh, level + 1 + several)


def _shared(models: list[type[BaseModel]]) -> dict[str, FieldInfo]:
    """The keys that every class of a union has, with one meaning."""
    if len(models) < 2:
        return {}
    first, *others = (_own_fields(model, models) for model in models)
    return {
        name: field
        for name, field in first.items()
        if all(name in other and _row(name, other[name]) == _row(name, field) for other in others)
    }


def _table(fields: dict[str, FieldInfo]) -> Iterator[str]:
    if not fields:
        return
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    yield from (_row(name, field) for name, field in fields.items())


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split())
    cells = (f"`{field.alias or name}`", _value(field), _default(field), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _own_fields(model: type[BaseModel], among: list[type[BaseModel]]) -> dict[str, FieldInfo]:
    """Without the key that says which class of a union it is."""
    fields = dict(model.model_fields)
    if len(among) > 1 and "kind" in fields:
        del fields["kind"]
    return fields


def _title(model: type[BaseModel], among: list[type[BaseModel]]) -> str:
    kind = model.model_fields.get("kind")
    if len(among) > 1 and kind is not None and get_origin(kind.annotation) is Literal:
        return ", ".join(f"`{name}`" for name in get_args(kind.annotation))
    return model.__name__


def _sentence(model: type[BaseModel]) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())


def _value(field: FieldInfo) -> str:
    text = _type(field.annotation)
    bounds = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in BOUNDS.items()
        if isinstance(getattr(limit, name, None), int | float)
    ]
    return f"{text} {', '.join(bounds)}" if bounds else text


def _type(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0])
    if origin is Literal:
        return " | ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        given = [arg for arg in args if arg is not types.NoneType]
        models = list(dict.fromkeys(_models(annotation)))
        if len(models) > 1:
            return f"one of {len(models)} kinds, below"
        return " or ".join(dict.fromkeys(_type(arg) for arg in given))
    if origin in (list, tuple):
        inner = dict.fromkeys(_type(arg) for arg in args if arg is not Ellipsis)
        return "list of " + ", ".join(inner)
    if origin is dict:
        return f"mapping of name to {_type(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping, below"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "anything"}
    return names.get(annotation, str(annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for arg in get_args(annotation):
        yield from _models(arg)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is PydanticUndefined and field.default_factory is not None:
        value = field.default_factory()  # type: ignore[call-arg]
    if value is None or (isinstance(value, BaseModel)):
        return "" if value is None else "its own"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list | dict | tuple) and not value:
        return "none"
    return f"`{value}`"
