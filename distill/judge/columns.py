"""Which column of somebody's file is what: projects name the same thing in their own ways."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Kind = Literal["absolute", "pairwise"]

INSTRUCTIONS = (
    "orig_instruction", "instruction", "question", "prompt", "query", "question_body", "usr_msg",
    "user_input", "input", "source", "document", "context",
)  # fmt: skip
PAIRS = (("a", "b"), ("chosen", "rejected"), ("left", "right"))
ANSWER = (
    "response|resp|answer|ans|output|completion|summary|candidate|text|reply|generation|option|"
    "conversation|assistant|message"
)
SIDED = re.compile(
    rf"(?:orig_|model_|generated_|assistant_|llm_)?(?:{ANSWER})_?(?P<side>[a1])"
    r"(?:_body|_text|_content|)"
    rf"|(?:model_|assistant_|system_)?(?P<other>[a1])_(?:{ANSWER})"
)
"""An answer of a pair: response1, "Response A", output_1, answer1_body, model_a_response; its twin
ends alike."""
CHOSEN = re.compile(
    rf"(?:chosen|preferred)(?:_(?:{ANSWER}|instruction|prompt))?|(?:{ANSWER})_chosen"
)
OTHERS = {"chosen": "rejected", "preferred": "dispreferred"}
ONE_HOT = {"winner_model_a": "a", "winner_model_b": "b", "winner_tie": "tie"}
"""A column per winner that holds 1 where it is the one, as Chatbot Arena's tables have them."""
TWINS = {"a": "b", "1": "2"}
RESPONSES = ("response", "orig_response", "answer", "output", "summary", "completion", "text")
WINNERS = ("winner", "label", "preference", "orig_preference", "gold", "verdict", "human_winner")
SCORES = ("score", "human_score", "rating", "orig_score", "gold", "label", "human")
RIGHT = re.compile(r"results?|(?:is_)?correct|right|acc(?:uracy)?")
"""A column that says whether a judge was right, in files of chosen and rejected answers."""
JUDGED = re.compile(
    r"(?:\w+_)?(?:decision|verdict|prediction|pred|judge?ment|winner|result|preference)"
    r"|output|completion|raw_output|(?:\w+_)?(?:score|rating)"
)
"""What a judge said, in a file of verdicts: decision, pandalm_result, gpt4_score, output."""
WRITERS = re.compile(
    r"(?:(?:response|answer|output)_)?(?:model|generator|system|llm|writer)(?:_?(?:id|name))?_?"
    r"(?P<side>[a1])(?:_?(?:id|name|model))?|(?:response|answer|output)_?(?P<other>[a1])_"
    r"(?:model|generator|system|llm)"
)
"""The column of who wrote the first answer: model_a, generator_1, answer_a_model."""
SYSTEMS = (
    "system", "model", "model_name", "model_id", "generator", "writer", "llm", "system_id",
    "response_model", "answer_model", "output_model",
)  # fmt: skip
"""The column of who wrote the only answer."""
NAME_CHARACTERS = 100
"""A longer text in such a column is a prompt, not a name."""
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
    plain = _plain(column)
    for first, second in PAIRS:
        if plain == first:
            return find_column(columns, [second])
    if CHOSEN.fullmatch(plain):
        name = next(name for name in OTHERS if name in plain)
        return find_column(columns, [plain.replace(name, OTHERS[name])])
    return _twin(SIDED, plain, columns)


def is_chosen(column: str | None) -> bool:
    """Whether a column holds the answer that people chose."""
    return column is not None and CHOSEN.fullmatch(_plain(column)) is not None


def find_writers(columns: Sequence[str]) -> tuple[str, str] | None:
    """The columns of who wrote each answer of a pair."""
    for column in columns:
        twin = _twin(WRITERS, _plain(column), columns)
        if twin is not None:
            return column, twin
    return None


def find_system(columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> str | None:
    """The column of who wrote the only answer of a row, by its name and its short texts."""
    kept = [
        name
        for name in columns
        if all(
            value is None or (isinstance(value, str) and len(value) <= NAME_CHARACTERS)
            for value in (record.get(name) for record in records)
        )
    ]
    return find_column(kept, SYSTEMS)


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


def says_right(column: str) -> bool:
    """Whether a column, or the end of a path, says that a judge was right."""
    return RIGHT.fullmatch(_plain(column.rpartition(".")[2])) is not None


def find_judged(columns: Sequence[str]) -> list[str]:
    """The columns that seem to hold what a judge said."""
    return [name for name in columns if JUDGED.fullmatch(_plain(name))]


def _twin(shape: re.Pattern[str], plain: str, columns: Sequence[str]) -> str | None:
    found = shape.fullmatch(plain)
    if found is None:
        return None
    at = found.start("side" if found["side"] else "other")
    return find_column(columns, [plain[:at] + TWINS[plain[at]] + plain[at + 1 :]])


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).lower()
