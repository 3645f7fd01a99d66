"""Whether a student's answers have collapsed onto a few forms, beside its teacher's and gold's.

A model that learns from a model loses the tails of what it learnt from (Shumailov et al. 2024,
arXiv:2305.17493). Texts: distinct-n and self-similarity. Labels: how evenly they are given.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distill.measure.diversity import diversity
from distill.measure.words import Words

GOLD, STUDENT = "gold", "student"
SYSTEMS = (GOLD, "teacher", STUDENT, "student_before")
"""Whose answers are looked at, where they answered."""

DISTINCT_LEAST = 0.8
"""A student with a smaller part than this of gold's distinct-2, whose answers also resemble each
other more than gold's do, has collapsed."""
SHARE_MORE = 0.2
"""Labels: how much more of all answers the student's commonest label may hold than gold's."""


def collapse_part(
    answers: Mapping[str, Sequence[str | None]], *, labels: bool, seed: int = 0
) -> dict[str, Any] | None:
    """SYSTEM -> how varied its answers are, and whether the student's have collapsed.

    Args:
        answers: SYSTEM -> one answer per row; gold among them as `gold`.
        labels: The answers are a few labels, not texts.
        seed: Of the samples.

    Returns: kind (labels | texts), systems, collapsed (null where there is no gold or student),
    because. Systems have distinct {"1", "2", "3"}, self_similarity, nearest, texts; or entropy
    (bits), commonest {label, share}, counts, n.
    """
    given = {
        name: [text for text in answers[name] if text is not None]
        for name in SYSTEMS
        if name in answers
    }
    given = {name: texts for name, texts in given.items() if texts}
    if STUDENT not in given:
        return None
    if labels:
        systems = {name: _labels(texts) for name, texts in given.items()}
        collapsed, because = _labels_collapsed(systems)
    else:
        systems = {name: _texts(texts, seed) for name, texts in given.items()}
        collapsed, because = _texts_collapsed(systems)
    kind = "labels" if labels else "texts"
    return {"kind": kind, "systems": systems, "collapsed": collapsed, "because": because}


def _labels(given: Sequence[str]) -> dict[str, Any]:
    counts = Counter(given)
    shares = [count / len(given) for count in counts.values()]
    label, most = counts.most_common(1)[0]
    return {
        "n": len(given),
        "entropy": abs(sum(-share * math.log2(share) for share in shares)),
        "commonest": {"label": label, "share": most / len(given)},
        "counts": dict(counts.most_common()),
    }


def _texts(given: Sequence[str], seed: int) -> dict[str, Any]:
    found = diversity(Words(given), seed=seed)
    none = {"value": None, "why": found.get("why", "no text")}
    return {
        "texts": found["texts"],
        "distinct": found.get("distinct_sample"),
        "self_similarity": found.get("self_similarity", none),
        "nearest": found.get("nearest", none),
    }


def _labels_collapsed(systems: Mapping[str, Any]) -> tuple[bool | None, str]:
    if GOLD not in systems:
        return None, "There is no gold to hold the labels against."
    mine, truth = systems[STUDENT]["commonest"], systems[GOLD]["commonest"]
    said = (
        f"The student gives its commonest label {mine['label']} to {mine['share']:.0%} of the "
        f"rows; gold's commonest holds {truth['share']:.0%}."
    )
    return mine["share"] > truth["share"] + SHARE_MORE, said


def _texts_collapsed(systems: Mapping[str, Any]) -> tuple[bool | None, str]:
    against = GOLD if GOLD in systems else "teacher"
    if against not in systems:
        return None, "There is neither gold nor a teacher to hold the answers against."
    mine, theirs = ((systems[name]["distinct"] or {}).get("2") for name in (STUDENT, against))
    alike = [systems[name]["self_similarity"] for name in (STUDENT, against)]
    if mine is None or theirs is None or any(figure.get("value") is None for figure in alike):
        return None, "The answers are too few or too short to say how varied they are."
    said = (
        f"Different pairs of words: {mine:.3f} of the student's, {theirs:.3f} of {against}'s;"
        f" mean likeness of two answers {alike[0]['value']:.3f} and {alike[1]['value']:.3f}."
    )
    fewer = mine < DISTINCT_LEAST * theirs
    return bool(fewer and alike[0]["low"] > alike[1]["high"]), said
