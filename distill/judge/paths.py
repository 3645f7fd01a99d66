"""Values inside a record: `judgments.0.decision` is what lies in a list of objects.

With a star in place of the number all of them come as a list. A column of that whole name goes
first, so a name with dots in it stays a name. Text that holds a JSON list or object, as in a CSV,
is looked into as well.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = object()
"""What `look` gives where a record holds no such place; a null that is there is None."""


def cell(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a path; None where there is none."""
    found = look(fields, path)
    return None if found is ABSENT else found


def look(value: Any, path: str) -> Any:
    """As `cell`, with ABSENT where there is no such place."""
    value = opened(value)
    if isinstance(value, Mapping):
        return _inside(value, path)
    if not isinstance(value, list | tuple):
        return ABSENT
    head, _, rest = path.partition(".")
    if head == "*":
        every = [look(one, rest) if rest else one for one in value]
        return [one for one in every if one is not ABSENT] or ABSENT
    if not head.removeprefix("-").isdecimal() or not -len(value) <= int(head) < len(value):
        return ABSENT
    return look(value[int(head)], rest) if rest else value[int(head)]


def opened(value: Any) -> Any:
    """A list or an object that a text holds, as JSON; else the value itself."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, Mapping | list) else value


def places(records: Sequence[Mapping[str, Any]], path: str) -> bool:
    """Whether any record holds such a place."""
    return any(look(fields, path) is not ABSENT for fields in records)


def example(value: Any, prefix: str) -> str | None:
    """The path of a first plain value inside lists and objects, for an error's advice."""
    value = opened(value)
    while isinstance(value, Mapping | list | tuple) and value:
        if isinstance(value, Mapping):
            name = next(iter(value))
            inner = [key for key, part in value.items() if not isinstance(part, Mapping | list)]
            name = inner[-1] if inner else name
            prefix, value = f"{prefix}.{name}", value[name]
        else:
            prefix, value = f"{prefix}.0", value[0]
    return None if isinstance(value, Mapping | list | tuple) else prefix


def _inside(value: Mapping[str, Any], path: str) -> Any:
    """The longest key that the path begins with goes first."""
    if path in value:
        return value[path]
    parts = path.split(".")
    for at in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:at])
        if name in value:
            found = look(value[name], ".".join(parts[at:]))
            if found is not ABSENT:
                return found
    return ABSENT
