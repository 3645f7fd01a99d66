"""Reads what other projects' judges wrote, as it was recorded: a verdict behind a mark at the end.

Marks: `[RESULT] 4` (Prometheus), `[[A]]` and `[[7]]` (FastChat, Arena-Hard, Auto-J), `VERDICT: B`
(ours), "the final decision is Response 1" (Auto-J), a JSON object. A text that ends otherwise, such
as one that was cut off, is no verdict.
"""

import re

from distill.judge.columns import Kind
from distill.judge.labels import Unreadable, Winner, read_score, read_winner
from distill.judge.parse import parse_verdict
from distill.judge.prometheus import result

MARKED = re.compile(r"\[\[\s*([^\[\]]+?)\s*\]\]\W*\Z")
DECISION = re.compile(r"\bfinal decision is:?\s*(response [12]|tie)\W*\Z", re.IGNORECASE)
SCALES: dict[Kind, tuple[str, ...]] = {
    "pairwise": ("a", "b", "tie", "c"),
    "absolute": tuple(map(str, range(101))),
}


def written_verdict(text: str, kind: Kind) -> Winner | float | None:
    """The winner (by the place that it was shown in) or the score; None where no verdict stands.

    A text that is a verdict and nothing else is left to `labels`.
    """
    marked = MARKED.search(text) or DECISION.search(text)
    said = result(text) or (marked[1] if marked else parse_verdict(text, SCALES[kind]).value)
    if said is None:
        return None
    try:
        return read_winner(said) if kind == "pairwise" else read_score(said)
    except Unreadable:
        return None
