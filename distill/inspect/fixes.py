"""What to fix first: every failure that was found, ranked by what it does to a model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WEIGHTS = {
    "leakage": 100.0, "contradictions": 8.0, "label_errors": 5.0, "disputed": 3.0,
    "refusal": 8.0, "boilerplate": 4.0, "empty": 8.0, "truncated": 5.0, "pii": 6.0,
    "exact_duplicates": 3.0, "near_duplicates": 1.5, "broken_text": 2.0, "unknown_tokens": 2.0,
    "label_variants": 20.0, "missing_labels": 6.0, "format": 0.3, "odd_language": 1.0,
    "poor_raters": 50.0, "white_space": 0.2,
}  # fmt: skip
"""How much one row of each kind hurts, beside the others: a leaked row makes the figures wrong, a
wrong label teaches the wrong thing, a near-duplicate only wastes a step. Ours, not measured."""

DO = {
    "leakage": "Take these rows out of training; figures on the other set are too good.",
    "contradictions": "Decide one label for each input, or say in the guideline when each holds.",
    "label_errors": "Have people look at these first; the list begins with the most doubtful.",
    "disputed": "Adjudicate these units; raters do not agree on them.",
    "poor_raters": "Look at their ratings; leave them out, or train them again.",
    "refusal": "Drop these rows, or ask again: the answer is a refusal.",
    "boilerplate": "Drop these rows, or ask again: the answer speaks of the assistant itself.",
    "empty": "Drop these rows: the input or the answer is empty.",
    "truncated": "Ask again with a larger max_tokens: the text stops in the middle.",
    "pii": "Mask or drop: e-mail, phone, card or IP numbers are in the text.",
    "exact_duplicates": "Keep one row of each cluster.",
    "near_duplicates": "Keep one row of each cluster, or write templates with more variety.",
    "broken_text": "Mend the encoding or strip the markup.",
    "white_space": "Strip it: a student learns to write it, or meets it nowhere else.",
    "unknown_tokens": "The student cannot read parts of these rows: change the text or the model.",
    "label_variants": "Merge labels that differ in case or punctuation only.",
    "missing_labels": "Label these rows or leave them out.",
    "format": "Rewrite these answers as nearly all others are written, or say why they differ.",
    "odd_language": "Check whether rows of these languages belong here.",
}

FAULTS = {
    "empty": "empty input or answer",
    "refusal": "refusals",
    "boilerplate": "boilerplate of an assistant",
    "truncated": "cut off texts",
}

BROKEN = {
    "HTML tags": "texts with HTML tags",
    "broken encoding": "texts whose encoding is broken",
    "control characters": "texts with control characters",
    "white space around": "white space before or behind a text",
}
"""Faults of `formats` in words."""

HABITS = {
    "JSON": "JSON",
    "code block": "a code block",
    "bullets": "bullets",
    "heading": "a heading",
    "bold": "bold words",
    "final answer after ####": "a final answer after ####",
    "number only": "a number and nothing else",
    "begins with a capital": "a capital at the beginning",
    "ends a sentence": "the end of a sentence",
    "several lines": "several lines",
}
"""Features of `formats` in words."""


def rank_fixes(report: Mapping[str, Any], view_ids: Sequence[str]) -> list[dict[str, Any]]:
    """[{what, count, rows, kind, do}], the most harmful first; `rows` are ids of the dataset.

    Args:
        report: All that was measured.
        view_ids: Ids of the dataset's rows, in order.
    """
    known = dict.fromkeys(view_ids)
    found = []
    for kind, what, rows, units in _failures(report):
        ids = [row for row in dict.fromkeys(rows) if row in known]
        count = units if units is not None else len(ids)
        if count:
            found.append({"what": what, "count": count, "rows": ids, "kind": kind, "do": DO[kind]})
    return sorted(found, key=lambda fix: (-WEIGHTS[fix["kind"]] * fix["count"], fix["what"]))


def _failures(
    report: Mapping[str, Any],
) -> Iterable[tuple[str, str, Sequence[str], int | None]]:
    """(kind, words, rows, how many where that is not the number of rows)."""
    for pair, leak in report["leakage"].items():
        one, other = pair.split("|")
        yield "leakage", f"rows of {one} that stand in {other}", leak["rows"], None
    groups = report["contradictions"]
    rows = [row for group in groups for row in group["rows"]]
    yield "contradictions", "same input, different labels", rows, None
    errors = [error["id"] for error in report["label_errors"]]
    yield "label_errors", "suspected label errors", errors, None
    for field, found in report["agreement"].items():
        rows = [row for unit in found["disputed"] for row in unit["rows"][:1]]
        alpha = found["alpha"]["value"]
        shown = "undefined" if alpha is None else f"{alpha:.2f}"
        what = f"units whose raters differ on {field} (alpha {shown})"
        yield "disputed", what, rows, len(found["disputed"])
        poor = found["dawid_skene"].get("poor_raters", ())
        yield "poor_raters", f"raters whose {field} says next to nothing", (), len(poor)
    for kind, words in FAULTS.items():
        yield kind, words, report["faults"][kind]["rows"], None
    pii = [row for entry in report["pii"].values() for row in entry["rows"]]
    yield "pii", "personal data", pii, None
    yield from _duplicates(report["duplicates"])
    labels = report["labels"] or {}
    variants = labels.get("variants", ())
    yield "label_variants", "labels spelt in several ways", (), len(variants)
    yield "missing_labels", "rows without a label", labels.get("missing_rows", ()), None
    for name, entry in report["format"]["faults"].items():
        kind = "white_space" if name == "white space around" else "broken_text"
        yield kind, BROKEN[name], entry["rows"], None
    answers = report["format"]["of"] == "output"
    for name, entry in report["format"]["features"].items() if answers else ():
        rule = "without" if entry["rule"] == "with" else "with"
        yield "format", f"texts {rule} {HABITS[name]}", entry["rows"], None
    if report["tokens"]:
        yield "unknown_tokens", "rows with unknown tokens", report["tokens"]["rows"], None
    yield "odd_language", "rows of rare languages", report["languages"].get("odd_rows", ()), None


def _duplicates(
    duplicates: Mapping[str, Any] | None,
) -> Iterable[tuple[str, str, Sequence[str], int | None]]:
    if duplicates is None:
        return
    exact, near = duplicates["exact_rows"], duplicates["near_rows"]
    yield "exact_duplicates", "exact copies of an earlier row", exact, None
    yield "near_duplicates", "near-duplicates of an earlier row", near, None
