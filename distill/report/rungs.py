"""The ladder beside the table: which rung differs from which, and what retrieval brings."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.report.figures import MISSING, title
from distill.report.measured import write_plain

METHODS = {"bm25": "BM25", "embeddings": "static embeddings"}
CLEAR = 0.05
"""Adjusted p below which a difference is more than chance."""


def rung_lines(part: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """One line for every test; `clear` where the difference is more than chance."""
    return [
        {
            "a": title(one["a"]),
            "b": title(one["b"]),
            "difference": write_plain(one["difference"], sign="+"),
            "p": MISSING if one["p"] is None else f"{one['p']:.2g}",
            "adjusted": MISSING if one["p_adjusted"] is None else f"{one['p_adjusted']:.2g}",
            "test": one["test"] or "",
            "n": one["n"],
            "clear": one["p_adjusted"] is not None and one["p_adjusted"] < CLEAR,
        }
        for one in part or ()
    ]


def two_by_two_lines(part: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """The base model and the student, each without and with retrieval."""
    return [
        {"name": title(name), **{how: write_plain(cell["score"]) for how, cell in cells.items()}}
        for name, cells in (part or {}).items()
    ]


def ladder_words(part: Mapping[str, Any] | None) -> str:
    """Who answered the baselines and what it was shown, as a sentence or two; empty without any."""
    if part is None:
        return ""
    said = [f"The baselines were asked of {title(part['asked'])}."]
    if shown := part.get("few_shot"):
        said.append(
            f"Its {len(shown['ids'])} examples are rows of {shown['source']}, drawn with seed "
            f"{shown['seed']}; none is held out."
        )
    if found := part.get("retrieval"):
        said.append(
            f"Retrieval shows the {found['passages']} passages of {found['among']:,} that fit best "
            f"({METHODS.get(found['method'], found['method'])})."
        )
    return " ".join(said)
