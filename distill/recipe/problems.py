"""Pydantic's errors as problems in our words: key paths of the file, lines, suggestions.

Pydantic names the branch of a union in its locations ("teachers.big.openai.model"); a walk over the
schema beside the location tells such names from keys, and says which keys a mapping takes.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from distill.errors import Problem
from distill.recipe.suggest import did_you_mean
from distill.recipe.wording import WANTED, found_words, rule_words

SECRET_KEYS = {"api_key_env", "headers_env"}
"""A key pasted where its variable's name belongs must not be shown."""

T = TypeVar("T")


class _Branch(NamedTuple):
    type: Any
    tags: frozenset[str]
    by_kind: bool
    """Its tags are values of its own `kind` key."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error is, in the file's own words, and which types may stand there."""

    path: tuple[str, ...]
    branches: tuple[_Branch, ...]
    data: Any


def as_problems(
    error: ValidationError, schema: Any, data: Any, file: str, lines: Mapping[str, int]
) -> list[Problem]:
    """Every problem of a failed validation, in the order of the file."""
    found: dict[str, list[tuple[ErrorDetails, _Place]]] = {}
    for details in error.errors(include_url=False):
        place = _place(schema, data, details)
        found.setdefault(".".join(place.path), []).append((details, place))
    problems = [_joined(key, group, file, lines) for key, group in _innermost(found).items()]
    # `nmae: x` is one mistake, not an unknown key and a missing one.
    meant = {
        f"Did you mean {_last(p)!r}?": p for p in problems if p.found.startswith("missing key")
    }
    twice = {id(meant[p.fix]) for p in problems if p.fix in meant and _beside(p, meant[p.fix])}
    kept = [problem for problem in problems if id(problem) not in twice]
    return sorted(kept, key=lambda problem: problem.line or 0)


def _last(problem: Problem) -> str:
    return (problem.key or "").rpartition(".")[2]


def _beside(one: Problem, other: Problem) -> bool:
    return (one.key or "").rpartition(".")[0] == (other.key or "").rpartition(".")[0]


def line_of(lines: Mapping[str, int], key: str) -> int | None:
    """The line of a key path, or of the nearest parent that the file has."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key)


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a mapping, as the YAML writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _innermost(found: dict[str, T]) -> dict[str, T]:
    """Without the errors at a place below which another branch of the same union has errors too."""
    return {
        key: group
        for key, group in found.items()
        if not any(other.startswith(f"{key}.") for other in found)
    }


def _joined(
    key: str,
    group: Sequence[tuple[ErrorDetails, _Place]],
    file: str,
    lines: Mapping[str, int],
) -> Problem:
    """One problem for all the branches of a union that refused the same value."""
    details, place = group[0]
    line = line_of(lines, key)
    wanted = [WANTED[d["type"]] for d, _ in group if d["type"] in WANTED]
    if len(group) > 1 and len(wanted) == len(group):
        must = " or ".join(dict.fromkeys(wanted))
        found = f"must be {must}, found {_shown(details, place)}"
        return Problem(found=found, file=file, line=line, key=key or None)
    found, allowed, fix = _words(details, place)
    return Problem(found=found, file=file, line=line, key=key or None, allowed=allowed, fix=fix)


def _words(details: ErrorDetails, place: _Place) -> tuple[str, str | None, str | None]:
    kind, context = details["type"], details.get("ctx", {})
    name = place.path[-1] if place.path else "the recipe"
    if kind == "extra_forbidden":
        known = [key for branch in place.branches for key in _keys(branch.type)]
        if place.path[0] == "filter":
            known.remove("kind")  # a filter's kind is its name in the list
        if place.path[:2] == ("generate", "fields"):
            known += [key for key in ("sample", "render", "ask", "python") if key not in known]
        return f"unknown key {name!r}", ", ".join(known) or None, did_you_mean(name, known)
    if kind == "missing":
        if name.isdigit():
            return f"value {int(name) + 1} is missing", None, "Give one more."
        return f"missing key {name!r}", None, f"Add `{name}:`."
    if kind in ("union_tag_invalid", "literal_error"):
        expected = str(context.get("expected_tags") or context.get("expected"))
        known = _quoted(expected)
        given = str(context.get("tag", details["input"]))
        what = "unknown filter" if place.path[:1] == ("filter",) else "unknown value"
        return f"{what} {given!r}", ", ".join(known), did_you_mean(given, known)
    if kind == "union_tag_not_found":
        known = sorted(tag for branch in place.branches for tag in branch.tags)
        return "missing key 'kind'", ", ".join(known) or None, "Say which kind this is."
    if kind in WANTED:
        found = f"must be {WANTED[kind]}, found {_shown(details, place)}"
        quote = kind == "string_type" and isinstance(details["input"], bool | int | float)
        return found, None, "Put it in quotes." if quote else None
    fix = "Give the name of an environment variable." if SECRET_KEYS & set(place.path) else None
    return _rule(details, place), None, fix


def _rule(details: ErrorDetails, place: _Place) -> str:
    words = rule_words(details)
    return words if details["type"] == "value_error" else f"{words}, found {_shown(details, place)}"


def _shown(details: ErrorDetails, place: _Place) -> str:
    return "something else" if SECRET_KEYS & set(place.path) else found_words(details["input"])


def _quoted(text: str) -> list[str]:
    """The values in pydantic's "'a', 'b' or 'c'"."""
    parts = text.split("'")
    return parts[1::2] if len(parts) > 1 else [text]


def _place(schema: Any, data: Any, details: ErrorDetails) -> _Place:
    """The key path of an error; for unknown or missing keys with the types around them."""
    place = _Place((), tuple(_branches(schema)), data)
    parts = details["loc"]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if last and details["type"] in ("extra_forbidden", "missing"):
            return _Place((*place.path, str(part)), place.branches, None)
        place = _step(place, part)
    if details["type"] in ("union_tag_invalid", "union_tag_not_found"):
        by_kind = isinstance(place.data, Mapping) and place.path[:1] != ("filter",)
        return _Place((*place.path, "kind"), place.branches, None) if by_kind else place
    return place


def _step(place: _Place, part: int | str) -> _Place:
    name = str(part)
    tagged = [branch for branch in place.branches if name in branch.tags]
    if tagged and len(place.branches) > 1:
        # `- length: {...}` writes the kind as a key; `kind: length` does not.
        written = isinstance(place.data, Mapping) and set(place.data) == {name}
        written = written and tagged[0].by_kind
        narrowed = tuple(branch._replace(tags=frozenset()) for branch in tagged)
        if written:
            return _Place((*place.path, name), narrowed[:1], place.data[name])
        return _Place(place.path, narrowed[:1], place.data)
    below = [branch for owner in place.branches for branch in _below(owner.type, part)]
    if below:
        return _Place((*place.path, name), tuple(below), _inside(place.data, part))
    named = [b for b in place.branches if getattr(b.type, "__name__", None) == part]
    return _Place(place.path, tuple(named) or place.branches, place.data)


def _inside(data: Any, part: int | str) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _below(owner: Any, part: int | str) -> list[_Branch]:
    """The types that may stand at `part` of a value of type `owner`."""
    origin = get_origin(owner)
    if isinstance(owner, type) and issubclass(owner, BaseModel):
        for name, field in owner.model_fields.items():
            if part in (name, field.alias):
                return _branches(field.annotation)
        return []
    if origin is dict and isinstance(part, str):
        return _branches(get_args(owner)[1])
    if origin in (list, tuple) and isinstance(part, int):
        return _branches(get_args(owner)[0])
    return []


def _keys(owner: Any) -> list[str]:
    is_model = isinstance(owner, type) and issubclass(owner, BaseModel)
    return keys_of(owner) if is_model else []


def _branches(annotation: Any, tag: str | None = None) -> list[_Branch]:
    """The members of a union, each with the tags that pydantic may name it by."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        tags = [item.tag for item in metadata if isinstance(item, Tag)]
        return _branches(inner, tags[0] if tags else tag)
    if origin in (Union, types.UnionType):
        return [branch for member in get_args(annotation) for branch in _branches(member, tag)]
    if annotation in (None, type(None)):
        return []
    if tag is not None:
        return [_Branch(annotation, frozenset({tag}), False)]
    return [_Branch(annotation, _kinds(annotation), True)]


def _kinds(owner: Any) -> frozenset[str]:
    if isinstance(owner, type) and issubclass(owner, BaseModel) and "kind" in owner.model_fields:
        kind = owner.model_fields["kind"].annotation
        if get_origin(kind) is Literal:
            return frozenset(str(value) for value in get_args(kind))
    return frozenset()
