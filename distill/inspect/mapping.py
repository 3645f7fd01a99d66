"""Which column is what: guessed from names and values, shown, and overridden by the user."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from distill.errors import Problem, UsageError
from distill.inspect.texts import is_prose, is_turns, label_of, turns

Shape = Literal["classification", "instruction", "chat", "preference", "text", "table"]

INPUTS = (
    "instruction", "prompt", "question", "problem", "query", "utterance", "text", "sentence",
    "input", "document", "article", "review", "comment", "tweet", "source", "passage", "premise",
    "content", "story", "body", "title", "summary", "context",
)  # fmt: skip
CONTEXTS = ("input", "context", "hypothesis", "passage", "document")
"""Columns that stand beside an instruction, question or premise."""
LABELS = (
    "label", "labels", "winner", "verdict", "category", "class", "intent", "sentiment",
    "gold_label", "topic", "target", "tag", "emotion",
)  # fmt: skip
OUTPUTS = (
    "output", "response", "answer", "completion", "summary", "target", "reply", "reference",
    "solution", "chosen",
)  # fmt: skip
PAIRS = (
    ("chosen", "rejected"), ("response_j", "response_k"), ("output_1", "output_2"),
    ("response1", "response2"), ("response_1", "response_2"), ("response_a", "response_b"),
    ("output_a", "output_b"), ("answer_a", "answer_b"), ("answer1", "answer2"), ("a", "b"),
)  # fmt: skip
TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "turns")
KEYS = ("input", "output", "context", "chosen", "rejected", "messages", "split")

RATER = re.compile(
    r"^(?P<before>.*?)[ _.-]*(?:annotator|rater|worker)[ _.-]*\d+(?:[ _.-]+(?P<after>.+))?$", re.I
)
UNNAMED = "label"
"""The field of rater columns that name no field."""
LONGEST_LABEL = 80
NAMED = 0.6
"""Largest share of different values in a column that is called a label."""
WORDS = 5
"""Fewest words, in the mean, of a column that is called an answer for its texts alone."""
SAMPLE = 5000
"""Rows that the guess looks at, spread evenly."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What each column is; None where there is none."""

    shape: Shape
    input: str | None = None
    context: tuple[str, ...] = ()
    """More columns that belong to the input."""
    output: str | None = None
    """A label (classification), or an answer."""
    chosen: str | None = None
    rejected: str | None = None
    messages: str | None = None
    raters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field -> its rater columns."""
    guessed: tuple[str, ...] = ()
    """Names of the keys above that were guessed, not given."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as the JSON shows it."""
        shown = asdict(self)
        return {**shown, "context": list(self.context), "guessed": list(self.guessed)}


def guess_columns(
    rows: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
    *,
    raters: Sequence[str] | None = None,
    taken: Iterable[str] = (),
) -> Columns:
    """Which column is what.

    Args:
        rows: The records.
        given: KEYS -> column, which win over any guess; several context columns joined by "+".
        raters: Names of the rater columns; absent: guessed by name.
        taken: Columns that have another use (unit, rater, votes).

    Raises: UsageError for a key or column that does not exist.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    _refuse_unknown(given, raters or (), names)
    families = {UNNAMED: tuple(raters)} if raters else rater_families(names)
    step = max(1, len(rows) // SAMPLE)
    sample = [row for row in rows[::step]]
    used = {*taken, *(name for columns in families.values() for name in columns)}
    free = {name: [row.get(name) for row in sample] for name in names if name not in used}
    found = _guess(free, given)
    chosen = {
        key: tuple(value.split("+")) if key == "context" else value
        for key, value in given.items()
        if key != "split"
    }
    guessed = tuple(
        key
        for key in ("input", "context", "output", "chosen", "rejected", "messages")
        if key not in given and getattr(found, key)
    )
    guessed += ("raters",) if families and not raters else ()
    return replace(found, **chosen, raters=families, guessed=guessed)  # type: ignore[arg-type]


def rater_families(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Field -> columns named annotator, rater or worker and a number; two or more of a field."""
    found: dict[str, list[str]] = {}
    for name in names:
        if match := RATER.match(name):
            field_name = match["after"] or match["before"].strip(" _.-") or UNNAMED
            found.setdefault(field_name, []).append(name)
    return {name: tuple(columns) for name, columns in found.items() if len(columns) > 1}


def is_label_column(values: Sequence[Any], share: float = 1 / 3) -> bool:
    """Whether a column holds labels: short values, at most this share of them different."""
    labels = [label_of(value) for value in values if not isinstance(value, list | dict)]
    known = [label for label in labels if label is not None]
    if len(known) < len(values) / 2 or not known:
        return False
    if any(isinstance(value, float) and not value.is_integer() for value in values):
        return False
    different = set(known)
    few = len(different) <= max(2, min(share * len(known), 1000))
    return few and all(len(label) <= LONGEST_LABEL for label in different)


def _guess(free: Mapping[str, Sequence[Any]], given: Mapping[str, str]) -> Columns:
    lower = {name.lower(): name for name in free}
    talk = given.get("messages") or next(
        (lower[name] for name in TURNS if name in lower and _talks(free[lower[name]])), None
    )
    pair = (given.get("chosen"), given.get("rejected"))
    if not all(pair):
        pair = next(
            (
                (lower[a], lower[b])
                for a, b in PAIRS
                if a in lower
                and b in lower
                and not {lower[a], lower[b]} & set(given.values())
                and _answered(free[lower[a]])
                and _answered(free[lower[b]])
            ),
            (None, None),
        )
    label = _label(free, lower, given)
    if pair[0] and pair[1]:
        rest = [name for name in free if name not in pair and name != label]
        asked = given.get("input") or _first(INPUTS, lower, rest, free)
        context = _context(lower, asked, [*pair, label]) if asked else ()
        return Columns("preference", asked, context, label, pair[0], pair[1])
    if label and talk and ("output" in given or _answers_with(free[talk], free[label])):
        asked = given.get("input") or _first(INPUTS, lower, [n for n in free if n != label], free)
        if asked and asked != talk:
            return Columns("classification", asked, (), label)
        return Columns("classification", output=label, messages=talk)
    if label and not talk:
        asked = given.get("input") or _input(free, lower, label)
        answer = None if "output" in given else _answer(free, lower, asked, label)
        if asked and answer and not is_label_column(free[answer]):
            return Columns("instruction", asked, _context(lower, asked, [answer, label]), answer)
        context = _context(lower, asked, [label]) if asked else ()
        return Columns("classification" if asked else "table", asked, context, label)
    if talk:
        return Columns("chat", given.get("input"), output=given.get("output"), messages=talk)
    asked = given.get("input") or _input(free, lower, given.get("output"))
    answer = given.get("output") or _answer(free, lower, asked, None)
    if not given and not answer and (two := _two_texts(free)):
        asked, answer = two
    if asked and answer:
        return Columns("instruction", asked, _context(lower, asked, [answer]), answer)
    return Columns("text" if asked else "table", asked, output=answer)


def _label(
    free: Mapping[str, Sequence[Any]], lower: Mapping[str, str], given: Mapping[str, str]
) -> str | None:
    """The column of labels: by its name, else the only column that looks like one."""
    if output := given.get("output"):
        return output if output in free and is_label_column(free[output], NAMED) else None
    named = [lower[name] for name in LABELS if name in lower]
    named += [name for name in free if re.search(r"(?:^|_)(?:label|category)$", name, re.I)]
    for name in named:
        if is_label_column(free[name], NAMED):
            return name
    asked = given.get("input") or _input(free, lower, None)
    likely = [
        name
        for name, values in free.items()
        if name != asked and name != "split" and is_label_column(values) and _is_text(values)
    ]
    return likely[0] if len(likely) == 1 and asked and len(free) <= 3 else None


def _input(
    free: Mapping[str, Sequence[Any]], lower: Mapping[str, str], other: str | None
) -> str | None:
    return _first(INPUTS, lower, [name for name in free if name != other], free)


def _first(
    words: Sequence[str],
    lower: Mapping[str, str],
    allowed: Sequence[str],
    free: Mapping[str, Sequence[Any]],
) -> str | None:
    """The first column with one of these names that can be read, else the longest text."""
    for word in words:
        name = lower.get(word)
        if name in allowed and name is not None and _readable(free[name]):
            return name
    prose = [name for name in allowed if is_prose(free[name])]
    return max(prose, key=lambda name: _length(free[name]), default=None)


def _answer(
    free: Mapping[str, Sequence[Any]],
    lower: Mapping[str, str],
    asked: str | None,
    label: str | None,
) -> str | None:
    for word in OUTPUTS:
        name = lower.get(word)
        if name and name not in (asked, label) and any(v is not None for v in free[name]):
            return name
    return None


def _two_texts(free: Mapping[str, Sequence[Any]]) -> tuple[str, str] | None:
    """The only two columns of texts, where their names say nothing: asked before answered."""
    prose = [name for name, values in free.items() if is_prose(values) and _words(values) >= WORDS]
    known = {*INPUTS, *CONTEXTS} - {"problem"}
    if len(prose) != 2 or all(name.lower() in known for name in prose):
        return None
    return (prose[1], prose[0]) if prose[1].lower() in INPUTS[:5] else (prose[0], prose[1])


def _words(values: Sequence[Any]) -> float:
    """Mean words of the texts of a column."""
    counts = [value.count(" ") + 1 for value in values if isinstance(value, str)]
    return sum(counts) / max(1, len(counts))


def _answered(values: Sequence[Any]) -> bool:
    """Whether a column holds texts or conversations, as an answer does."""
    known = [value for value in values if value is not None]
    texts = sum(isinstance(value, str) or is_turns(value) for value in known)
    return bool(known) and texts >= len(known) / 2


def _context(lower: Mapping[str, str], asked: str, others: Sequence[str | None]) -> tuple[str, ...]:
    if asked.lower() not in ("instruction", "prompt", "question", "problem", "query", "premise"):
        return ()
    return tuple(
        lower[word]
        for word in CONTEXTS
        if word in lower and lower[word] != asked and lower[word] not in others
    )


def _talks(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(is_turns(value) or _lines(value) for value in known)


def _answers_with(talks: Sequence[Any], labels: Sequence[Any]) -> bool:
    """Whether conversations end with the label, as a classification is written for training."""
    ends = [turns(talk)[-1][1].strip() if is_turns(talk) else None for talk in talks]
    same = sum(
        end is not None and end == label_of(label) for end, label in zip(ends, labels, strict=True)
    )
    return same > len(ends) / 2


def _lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _readable(values: Sequence[Any]) -> bool:
    return any(isinstance(value, str) and value.strip() for value in values) and (
        is_prose(values) or not is_label_column(values)
    )


def _is_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values if value is not None)


def _length(values: Sequence[Any]) -> int:
    return sum(len(value) for value in values if isinstance(value, str))


def _refuse_unknown(given: Mapping[str, str], raters: Sequence[str], names: Sequence[str]) -> None:
    problems = [
        Problem(f"--map: {key!r} is not a part of a row", allowed=", ".join(KEYS))
        for key in given
        if key not in KEYS
    ]
    columns = [("--map", part) for value in given.values() for part in value.split("+")]
    columns += [("--annotators", name) for name in raters]
    problems += [
        Problem(f"{flag}: there is no column {name!r}", allowed=", ".join(names))
        for flag, name in columns
        if name not in names
    ]
    if problems:
        raise UsageError(str(problems[0]), problems)
