"""Copies of rows that a judge learns from: in the other order, without reference, without reasons.

Made when the dataset is written, of training rows only, and told apart by `augmented` and
`copy_of`: no copy is counted, held out or looked at in its row's stead. JudgeLM (Zhu et al. 2023,
arXiv:2310.17631, section 4) shows what swapping and dropping references are good for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distill.recipe.task import AnyAugment, PairAugment
from distill.rows.row import Row, digest

NOUN = r"(?:responses?|answers?|assistants?|options?|candidates?|outputs?|texts?)"
_NAMED = re.compile(rf"(\b{NOUN}\s+[\"'(]?)([AB])\b", re.I)
_PLACED = re.compile(rf"\b([Ff]irst|[Ss]econd)(?=\s+(?:one|{NOUN})\b)")
_SIDES = {"a": "b", "b": "a", "A": "B", "B": "A"}
_PLACES = {"first": "second", "second": "first", "First": "Second", "Second": "First"}
# A lone letter, or a word for a place, whose side cannot be told for sure. "A" before a word in
# small letters is the article.
_UNCLEAR = re.compile(r"\bB\b|\bA\b(?!\s+[a-z])|\b(?:former|latter|left|right-hand)\b")


def with_copies(rows: Sequence[Row], augment: AnyAugment, output: str, seed: int) -> Iterator[Row]:
    """Yields the rows and their copies; which rows get one depends on their ids and the seed."""
    for row in rows:
        yield row
        for kind, fields in _copies(row, augment, output, seed):
            marked = {**fields, "augmented": kind, "copy_of": row.id}
            yield Row(f"{row.id}-{kind}", marked, verdicts=row.verdicts)


def _copies(
    row: Row, augment: AnyAugment, output: str, seed: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    fields = row.fields
    if isinstance(augment, PairAugment) and _drawn(row, "swap", augment.swap, seed):
        yield "swap", swapped(fields, output)
    for name, share in (("reference", augment.drop_reference), ("feedback", augment.drop_feedback)):
        if fields.get(name) and _drawn(row, name, share, seed):
            yield f"no-{name}", {key: fields[key] for key in fields if key != name}


def _drawn(row: Row, kind: str, share: float, seed: int) -> bool:
    return int(digest([seed, kind, row.id])[:12], 16) < share * 16**12


def swapped(fields: Mapping[str, Any], output: str) -> dict[str, Any]:
    """A comparison with its answers in the other order, verdict and reasons mirrored.

    Reasons whose words for the two sides cannot be mirrored for sure are left out.
    """
    found = {name: fields[_other(name, fields)] for name in fields}
    for name in fields:
        if name == output or name.startswith(f"{output}_"):
            found[name] = _mirrored(fields[name])
    if "feedback" in fields:
        reasons = mirrored_text(str(fields["feedback"] or ""))
        found["feedback"] = reasons
        if reasons is None:
            del found["feedback"]
    return found


def mirrored_text(text: str) -> str | None:
    """Reasons that speak of the other side each time; None where that cannot be told for sure."""
    if _UNCLEAR.search(_NAMED.sub(r"\1", text)):
        return None
    text = _NAMED.sub(lambda hit: hit[1] + _SIDES[hit[2]], text)
    return _PLACED.sub(lambda hit: _PLACES[hit[1]], text)


def _other(name: str, fields: Mapping[str, Any]) -> str:
    """The field of the other side: b for a, quality_b for quality_a, ranked_swapped for ranked."""
    ends = {"_a": "_b", "_b": "_a"}
    changed = _SIDES.get(name) or (name[:-2] + ends[name[-2:]] if name[-2:] in ends else name)
    if changed == name:
        base, _, kind = name.partition("_swapped")
        changed = base + kind if "_swapped" in name else _with_order(name)
    return changed if changed in fields else name


def _with_order(name: str) -> str:
    base, mark, kind = name.partition("_")
    return f"{base}_swapped{mark}{kind}"


def _mirrored(value: Any) -> Any:
    """A verdict, or figures by verdict, of the other side."""
    if isinstance(value, str):
        return _SIDES.get(value, value)
    if isinstance(value, Mapping):
        return {_SIDES.get(key, key): figure for key, figure in value.items()}
    return value
