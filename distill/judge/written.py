"""Reads what other projects' judges wrote, as it was recorded: a verdict behind a mark at the end.

Marks: `[RESULT] 4` (Prometheus), `[[A]]` and `[[7]]` (FastChat, Arena-Hard, Auto-J), `VERDICT: B`
(ours), "the final decision is Response 1" (Auto-J), "Therefore, Output (a) is better." (LLMBar),
"Winner: A" or "Rating: 4/5" as the last line, `<answer>B</answer>`, a JSON object. Only JudgeLM and
PandaLM begin with theirs, as a line of its own: "8 6", "1", "Tie". A text that does otherwise, such
as one that was cut off, is no verdict.
"""

import re
from collections.abc import Mapping

from distill.judge.columns import Kind
from distill.judge.labels import Unreadable, Winner, read_score, read_winner
from distill.judge.parse import parse_verdict
from distill.judge.prometheus import result

MARKED = re.compile(r"\[\[\s*([^\[\]]+?)\s*\]\]\W*\Z")
DECISION = re.compile(r"\bfinal decision is:?\s*(response [12]|tie)\W*\Z", re.IGNORECASE)
BETTER = re.compile(
    r"\b(?:therefore|thus|hence|so|overall|in conclusion|consequently)\b,?\s*"
    r"(?:i (?:think|believe) )?(?:that )?"
    r"((?:output|response|answer|assistant|model|completion|summary) \(?[ab12]\)?) "
    r"is (?:the )?(?:clearly )?(?:better|best|superior|preferred)(?: \w+)?\W*\Z",
    re.IGNORECASE,
)
TAGGED = re.compile(
    r"<(answer|verdict|score|rating|decision|winner|result)>\s*([^<>]+?)\s*</\1>\W*\Z",
    re.IGNORECASE,
)
SIDE = re.compile(
    r"[\s>*_#`-]*(?:output|response|answer|assistant|model) \(?[ab12]\)?[\s*_`.]*", re.IGNORECASE
)
_SAID = r"[\s*_`]*(?:[:=]|\bis\b:?)[\s*_`]*(?P<said>[^\n]{1,30}?)[\s*_`.]*\Z"
SAYS: Mapping[Kind, re.Pattern[str]] = {
    "pairwise": re.compile(
        r"[\s>*_#`-]*(?:the |my )?(?:overall |final )?(?:winner|decision|preference|choice|answer|"
        rf"judge?ment|(?:better|best|preferred) (?:one|response|answer|output)){_SAID}",
        re.IGNORECASE,
    ),
    "absolute": re.compile(
        r"[\s>*_#`-]*(?:the |my )?(?:overall |final |total )*(?:score|rating|grade|decision|"
        rf"judge?ment){_SAID}",
        re.IGNORECASE,
    ),
}
"""A last line that names what follows, which must be a verdict: "Winner: A", "Score: 4/5"."""
BOXED = re.compile(r"\\boxed\{\s*([^{}]+?)\s*\}\W*\Z")
FIRST = re.compile(r"\s*(-?\d+(?:\.\d+)?)[ \t]*[, \t][ \t]*(-?\d+(?:\.\d+)?)[ \t]*(?:\n|\Z)")
"""JudgeLM's line of two scores; -1 -1 is its word for none."""
FIRST_WORD = re.compile(r"\s*([12]|tie)[ \t]*\n+#{2,} ?Reason", re.IGNORECASE)
SCALES: dict[Kind, tuple[str, ...]] = {
    "pairwise": ("a", "b", "tie", "c"),
    "absolute": tuple(map(str, range(101))),
}


def written_verdict(text: str, kind: Kind) -> Winner | float | None:
    """The winner (by the place that it was shown in) or the score; None where no verdict stands.

    A text that is a verdict and nothing else is left to `labels`.
    """
    said = _ends_with(text) or parse_verdict(text, SCALES[kind]).value or _last_line(text, kind)
    if kind == "pairwise" and said is None:
        return _begins_with(text)
    if said is None:
        return None
    try:
        return read_winner(said) if kind == "pairwise" else read_score(said)
    except Unreadable:
        return None


def _ends_with(text: str) -> str | None:
    """What stands behind a mark at the end."""
    if (marked := result(text)) is not None:
        return marked
    for shape in (MARKED, DECISION, BETTER, BOXED, TAGGED):
        if hit := shape.search(text):
            return hit[shape.groups]
    return None


def _last_line(text: str, kind: Kind) -> str | None:
    """The last line, where it says what it is: "Winner: A", "Overall score: 4/5"."""
    line = text.rstrip().rsplit("\n", 1)[-1]
    if kind == "pairwise" and SIDE.fullmatch(line):
        return line
    hit = SAYS[kind].match(line)
    return hit["said"] if hit else None


def _begins_with(text: str) -> Winner | None:
    """A verdict on the first line, before its reasons."""
    if hit := FIRST.match(text):
        mine, theirs = float(hit[1]), float(hit[2])
        if mine < 0 or theirs < 0:
            return None
        return "tie" if mine == theirs else "a" if mine > theirs else "b"
    hit = FIRST_WORD.match(text)
    return read_winner(hit[1]) if hit else None
