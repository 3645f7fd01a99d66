"""Whether a judge takes the answers of one family of models more often than people do.

A judge that is of such a family itself is said to favour it (Zheng et al. 2023, arXiv:2306.05685,
section 3.3; Panickssery et al. 2024, arXiv:2404.13076). A file must name who wrote each answer.
"""

import re
from collections.abc import Sequence
from typing import Any

from distill.judge.columns import find_column
from distill.judge.rows import JudgeRow, Value
from distill.measure.intervals import proportion

WRITERS = re.compile(
    r"(?:(?:response|answer|output)_)?(?:model|generator|system|llm|writer)(?:_?(?:id|name))?_?"
    r"(?P<side>[a1])(?:_?(?:id|name|model))?|(?:response|answer|output)_?(?P<other>[a1])_"
    r"(?:model|generator|system|llm)"
)
"""The column of who wrote the first answer: model_a, generator_1, answer_a_model."""
TWINS = {"a": "b", "1": "2"}
FAMILIES = {
    "gpt": r"gpt|davinci|^o\d\b", "claude": r"claude", "gemini": r"gemini|bard|palm",
    "llama": r"llama|vicuna|alpaca|koala|guanaco", "mistral": r"mi[sx]tral", "qwen": r"qwen",
    "gemma": r"gemma", "phi": r"\bphi\b", "deepseek": r"deepseek",
}  # fmt: skip
"""Family -> what its names hold; models that were trained on from another one count as its kin."""
LEAST = 10
"""Pairs with exactly one answer of a family, under which nothing is said."""


def family_preferences(
    rows: Sequence[JudgeRow], chosen: Sequence[Value | None]
) -> list[dict[str, Any]] | None:
    """Of each family how often its answer wins by the judge and by people, on the same rows.

    Only pairs count of which exactly one answer is the family's and that both have decided. Largest
    gap first; None where no columns name the writers.
    """
    columns = _writers(rows)
    if columns is None:
        return None
    won: dict[str, list[tuple[bool, bool]]] = {}
    for row, judge in zip(rows, chosen, strict=True):
        first, second = (family_of(row.fields.get(column)) for column in columns)
        if first == second or judge not in ("a", "b") or row.gold not in ("a", "b"):
            continue
        for name, side in ((first, "a"), (second, "b")):
            if name is not None:
                won.setdefault(name, []).append((judge == side, row.gold == side))
    found = [_line(name, pairs) for name, pairs in won.items() if len(pairs) >= LEAST]
    return sorted(found, key=lambda line: (-abs(line["difference"]), line["family"]))


def family_of(name: object) -> str | None:
    """The family of a model's name, else the letters that it begins with; None for no name."""
    if not isinstance(name, str) or not name.strip():
        return None
    plain = name.strip().lower().rsplit("/", 1)[-1]
    for family, pattern in FAMILIES.items():
        if re.search(pattern, plain):
            return family
    letters = re.match(r"[^\W\d_]+", plain)
    return letters[0] if letters else plain


def _line(name: str, pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    judge, people = (sum(pair[at] for pair in pairs) for at in (0, 1))
    return {
        "family": name,
        "n": len(pairs),
        "judge": proportion(judge, len(pairs)),
        "people": proportion(people, len(pairs)),
        "difference": (judge - people) / len(pairs),
    }


def _writers(rows: Sequence[JudgeRow]) -> tuple[str, str] | None:
    columns = list(dict.fromkeys(name for row in rows for name in row.fields))
    for column in columns:
        plain = re.sub(r"[\s_-]+", "_", column.strip()).lower()
        found = WRITERS.fullmatch(plain)
        if found is None:
            continue
        side = "side" if found["side"] else "other"
        at = found.start(side)
        twin = find_column(columns, [plain[:at] + TWINS[plain[at]] + plain[at + 1 :]])
        if twin is not None:
            return column, twin
    return None
