"""Rows that are sent to reviewers because somebody names them: ids, or what inspect found."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, UsageError
from distill.review.choose import Chosen
from distill.rows.readers import read_texts

NAMED = "named"
"""Why a row is in a pack, where nothing else is known."""


def read_named(path: Path, kind: str | None = None) -> dict[str, tuple[str, ...]]:
    """Row id -> why it is named, the first named first.

    Args:
        path: One id on a line, or what `distill inspect --json` printed (.json): all rows of its
            `fix_first`, with the kinds of their faults.
        kind: Of these faults this one only.

    Raises: DataError when the file holds neither, UsageError for a kind that it has not.
    """
    if path.suffix.lower() != ".json":
        if kind is not None:
            problem = Problem("a kind of fault needs the JSON of inspect", file=str(path))
            raise UsageError(str(problem), [problem])
        return dict.fromkeys(read_texts(path), (NAMED,))
    fixes = _fixes(path)
    kinds = list(dict.fromkeys(str(fix["kind"]) for fix in fixes))
    if kind is not None and kind not in kinds:
        problem = Problem(
            f"inspect found no {kind!r}", file=str(path), allowed=", ".join(kinds) or "nothing"
        )
        raise UsageError(str(problem), [problem])
    named: dict[str, tuple[str, ...]] = {}
    for fix in fixes:
        if kind in (None, fix["kind"]):
            for id in fix["rows"]:
                named[id] = tuple(dict.fromkeys((*named.get(id, ()), str(fix["kind"]))))
    return named


def choose_named(
    ids: Sequence[str], named: Mapping[str, tuple[str, ...]], rows: int | None, source: str
) -> list[Chosen]:
    """The named rows that are there, in the order of `ids`; of more than `rows` the first named.

    A row that inspect read from a folder is called SPLIT/ID where two files share an id; it is here
    where `source` is the file of that split.

    Raises: UsageError when none is there.
    """
    there = set(ids)
    found: dict[str, tuple[str, ...]] = {}
    for id, why in named.items():
        split, _, rest = id.partition("/")
        plain = rest if id not in there and _holds(source, split) else id
        if plain in there:
            found.setdefault(plain, why)
    if not named:
        problem = Problem("no row is named, so there is nothing to send", file=source)
        raise UsageError(str(problem), [problem])
    if not found:
        example = next(iter(named), "")
        problem = Problem(
            f"none of the {len(named)} named rows is here ({example!r} ...)",
            file=source,
            allowed=f"ids like {next(iter(ids), '')!r}",
        )
        raise UsageError(str(problem), [problem])
    chosen = set(list(found)[:rows])
    return [Chosen(id, found[id], 1.0) for id in ids if id in chosen]


def _holds(file: str, split: str) -> bool:
    """Whether a file is that of a split, as inspect reads folders."""
    stem = Path(file).stem.lower()
    return bool(split) and any(
        stem.startswith(name) for name in (split, {"val": "dev", "test": "eval"}.get(split, split))
    )


def _fixes(path: Path) -> list[Mapping[str, Any]]:
    try:
        value = json.loads(path.read_text("utf-8"))
        fixes = value["fix_first"]
        if all(isinstance(fix["rows"], list) and fix["kind"] for fix in fixes):
            return list(fixes)
    except OSError as error:
        problem = Problem(f"{error.strerror}", file=str(path), fix="Mend the path.")
        raise DataError(str(problem), [problem]) from error
    except (ValueError, KeyError, TypeError):
        pass
    problem = Problem("not what `distill inspect --json` prints", file=str(path))
    raise DataError(str(problem), [problem])
