"""Whether a judge takes the answers of one family of models more often than people do.

A judge that is of such a family itself is said to favour it (Zheng et al. 2023, arXiv:2306.05685,
section 3.3; Panickssery et al. 2024, arXiv:2404.13076). A file must name who wrote each answer.
"""

import re
from collections.abc import Sequence
from typing import Any

from distill.judge.rows import JudgeRow, Value
from distill.measure.intervals import proportion

FAMILIES = {
    "gpt": r"gpt|davinci|^o\d\b", "claude": r"claude", "gemini": r"gemini|bard|palm",
    "llama": r"llama|vicuna|alpaca|koala|guanaco", "mistral": r"mi[sx]tral", "qwen": r"qwen",
    "gemma": r"gemma", "phi": r"\bphi\b", "deepseek": r"deepseek",
}  # fmt: skip
"""Family -> what its names hold; models that were trained on from another one count as its kin."""
LEAST = 10
"""Pairs with exactly one answer of a family, under which nothing is said."""


def family_preferences(
    rows: Sequence[JudgeRow],
    chosen: Sequence[Value | None],
    writers: Sequence[tuple[str | None, ...]] | None,
) -> list[dict[str, Any]] | None:
    """Of each family how often its answer wins by the judge and by people, on the same rows.

    Only pairs count of which exactly one answer is the family's and that both have decided. Largest
    gap first; None where nobody knows the writers (`distill.judge.systems.writers_of`).
    """
    if writers is None:
        return None
    won: dict[str, list[tuple[bool, bool]]] = {}
    for row, judge, names in zip(rows, chosen, writers, strict=True):
        first, second = map(family_of, names)
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
