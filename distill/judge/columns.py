"""Which column of somebody's file is what: projects name the same thing in their own ways."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Kind = Literal["absolute", "pairwise"]

INSTRUCTIONS = (
    "orig_instruction", "instruction", "question", "prompt", "query", "question_body", "usr_msg",
    "user_input", "input", "source", "document", "context",
)  # fmt: skip
PAIRS = (("a", "b"), ("chosen", "rejected"), ("left", "right"))
SIDED = re.compile(
    r"(?:orig_)?(?:response|answer|output|completion|summary|candidate|text|reply|generation|"
    r"option|conversation|assistant|message)(?P<gap>_?)(?P<side>[a1])(?P<tail>_body|_text|)"
)
"""An answer of a pair: response1, "Response A", output_1, answer1_body; its twin ends alike."""
TWINS = {"a": "b", "1": "2"}
RESPONSES = ("response", "orig_response", "answer", "output", "summary", "completion", "text")
WINNERS = ("winner", "label", "preference", "orig_preference", "gold", "verdict", "human_winner")
SCORES = ("score", "human_score", "rating", "orig_score", "gold", "label", "human")
IDS = ("id", "idx", "question_id", "pair_id", "pairID", "uid", "key", "example_id")
SLICES = ("slice", "category", "subset", "scenario", "domain", "capability")
ANNOTATORS = re.compile(r"(annotator|rater|worker|human)[ _-]?\d+", re.IGNORECASE)
AUTO_J = ("prompt", "response 1", "response 2", "label")
"""The columns by which Auto-J's files are known, spaces and all: they count winners from 0."""


def find_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of the names among the columns: as written, else whatever its case and gaps."""
    for name in names:
        if name in columns:
            return name
    plain = {_plain(column): column for column in reversed(columns)}
    return next((plain[_plain(name)] for name in names if _plain(name) in plain), None)


def find_pair(columns: Sequence[str]) -> tuple[str, str] | None:
    """The columns of two answers to compare."""
    for first, second in PAIRS[:1]:
        if (a := find_column(columns, [first])) and (b := find_column(columns, [second])):
            return a, b
    for column in columns:
        if (twin := twin_of(column, columns)) is not None:
            return column, twin
    for first, second in PAIRS[1:]:
        if (a := find_column(columns, [first])) and (b := find_column(columns, [second])):
            return a, b
    return None


def twin_of(column: str, columns: Sequence[str]) -> str | None:
    """The column of the second answer, where one holds the first."""
    for first, second in PAIRS:
        if _plain(column) == first:
            return find_column(columns, [second])
    found = SIDED.fullmatch(_plain(column))
    if found is None:
        return None
    at = found.start("side")
    plain = _plain(column)
    return find_column(columns, [plain[:at] + TWINS[plain[at]] + plain[at + 1 :]])


def find_gold(columns: Sequence[str], roles: Mapping[str, str], kind: Kind) -> list[str]:
    """The columns of people's verdicts: the named one, all annotators, or the usual name."""
    role = "winner" if kind == "pairwise" else "score"
    if role in roles:
        return [roles[role]]
    if annotators := [name for name in columns if ANNOTATORS.fullmatch(name)]:
        return annotators
    free = [name for name in columns if name not in roles.values()]
    found = find_column(free, WINNERS if kind == "pairwise" else SCORES)
    return [] if found is None else [found]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()
