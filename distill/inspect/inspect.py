"""Measures a dataset in all its parts and says what to fix first. Plain data out; no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from distill.inspect.consensus import measure_agreement
from distill.inspect.duplicates import measure_duplicates
from distill.inspect.faults import Refusal, measure_faults
from distill.inspect.fixes import rank_fixes
from distill.inspect.formats import measure_format
from distill.inspect.labels import contradictions, measure_labels
from distill.inspect.language import measure_languages
from distill.inspect.layouts import guess_layout
from distill.inspect.leakage import measure_leakage
from distill.inspect.lengths import measure_lengths
from distill.inspect.mapping import LONGEST_LABEL, Columns, guess_columns, rater_families
from distill.inspect.privacy import measure_pii
from distill.inspect.ratings import MISSING, Layout, check_layout, read_ratings, units_of
from distill.inspect.reference import Embed, compare_with, spread
from distill.inspect.slices import measure_slices
from distill.inspect.sources import SPLITS, Item
from distill.inspect.texts import label_of
from distill.inspect.tokens import measure_tokens
from distill.inspect.view import View
from distill.inspect.workplace import Workplace
from distill.measure.agreement import Level
from distill.measure.diversity import diversity
from distill.measure.label_noise import find_label_errors
from distill.progress import Listener, Progress, silent

GOLD = "gold"
SHOWN_TEXT = 300
ALIKE_LABELS = 10
"""Different values of columns that are taken for several opinions on one thing, at most."""
LONGEST_SUSPECT = 2000
"""Characters of a text that the search for label errors reads."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about the dataset."""

    map: Mapping[str, str] = field(default_factory=dict)
    annotators: tuple[str, ...] | None = None
    layout: Layout = field(default_factory=Layout)
    level: Level = "nominal"
    tokenizer: str | None = None
    seed: int = 0


def inspect_rows(
    items: Sequence[Item],
    options: Options,
    *,
    gold: Sequence[Item] | None = None,
    reference: Sequence[Item] | None = None,
    refusal: Refusal | None = None,
    embed: Embed | None = None,
    listen: Listener = silent,
    place: Workplace | None = None,
) -> dict[str, Any]:
    """The whole report: the shape of CONTRACT section 5, and more beside it.

    Args:
        items: The rows, at least one.
        options: What the user said.
        gold: Human-labelled rows, looked for in the dataset, and joined to rated units.
        reference: Rows that the dataset should look like.
        refusal: Says why an answer is none.
        embed: Texts -> unit vectors, where there is a model.
        listen: Told of each part.
        place: Where texts are looked at; absent: in this process.

    Raises: UsageError for columns that are not there; PrerequisiteError for missing extras.
    """
    names = list(dict.fromkeys(name for item in items for name in item.fields))
    layout = options.layout
    check_layout(layout, names)
    records = [item.fields for item in items]
    guessed = None
    if not (options.annotators or layout.unit or layout.votes or rater_families(names)):
        guessed = guess_layout(records, names, set(options.map.values()))
    layout = replace(guessed, missing=layout.missing) if guessed else layout
    columns = guess_columns(records, options.map, raters=options.annotators, taken=layout.taken)
    if guessed:
        parts = [name for name in ("unit", "rater", "label", "votes") if getattr(layout, name)]
        columns = replace(columns, guessed=(*columns.guessed, *parts))
    items = _resplit(items, options.map.get("split"))
    units = units_of(items, layout) if layout.long else {item.id: [at] for at, item in
                                                          enumerate(items)}  # fmt: skip
    rows = {unit: [items[at].id for at in places] for unit, places in units.items()}
    seen = [items[places[0]] for places in units.values()]
    view = View(seen, columns, layout.missing)
    listen(Progress("inspect", 0, None, note=f"{len(items)} rows, shape {columns.shape}"))
    measured = _measure(view, options, refusal, embed, listen, place or Workplace())
    gold_view = _view_like(gold, view, layout)
    measured["leakage"] = _leakage(view, gold_view)
    rated = read_ratings(items, layout, columns.raters)
    known = _gold_labels(gold, layout, columns) if gold else None
    measured["agreement"] = {
        ratings.field: measure_agreement(ratings, rows, options.level, known) for ratings in rated
    }
    measured["reference"] = None
    if reference:
        other = _view_like(reference, view, layout)
        assert other is not None
        measured["reference"] = compare_with(view, other, embed, seed=options.seed)
    marked = _marked(measured)
    report = {
        "rows": len(items),
        "units": len(units) if layout.long else None,
        "splits": _split_counts(items),
        "mapping": _mapping(columns, layout, options),
        **measured,
        "gold_texts": _gold_texts(gold_view, measured["leakage"]),
        "slices": measure_slices(view, marked, layout.taken),
        "notes": _notes(view, layout, columns, measured, gold_view),
    }
    report["fix_first"] = rank_fixes(report, [item.id for item in items])
    return report


def _measure(
    view: View,
    options: Options,
    refusal: Refusal | None,
    embed: Embed | None,
    listen: Listener,
    place: Workplace,
) -> dict[str, Any]:
    """All parts that need the dataset alone."""
    done = 0

    def part(name: str) -> None:
        nonlocal done
        listen(Progress("inspect", done, 9, {"part": name}))
        done += 1

    part("lengths")
    found: dict[str, Any] = {"lengths": measure_lengths(view), "labels": measure_labels(view)}
    if view.labels is not None and found["labels"]:
        found["labels"]["missing_rows"] = [
            id for id, label in zip(view.ids, view.labels, strict=True) if label is None
        ]
    part("languages")
    found["languages"] = measure_languages(view)
    part("duplicates")
    found["duplicates"] = measure_duplicates(view, place)
    part("label errors")
    found["label_errors"], found["label_errors_why"] = _label_errors(view, options.seed)
    found["contradictions"] = contradictions(view)
    part("format")
    found["format"] = measure_format(view, place)
    found["faults"] = measure_faults(view, refusal, place)
    part("diversity")
    found["diversity"] = diversity(view.content_words, seed=options.seed)
    found["diversity"]["embedding_spread"] = spread(view.contents, embed, seed=options.seed)
    part("personal data")
    found["pii"] = measure_pii(view, place)
    part("tokens")
    found["tokens"] = measure_tokens(view, options.tokenizer) if options.tokenizer else None
    part("leakage and agreement")
    return found


def _label_errors(view: View, seed: int) -> tuple[list[dict[str, Any]], str | None]:
    if view.labels is None:
        return [], "rows have no label"
    if view.columns.shape not in ("classification", "chat") or not any(view.inputs):
        return [], "labels are not about one text"
    known = [
        (id, text[:LONGEST_SUSPECT], label)
        for id, text, label in zip(view.ids, view.inputs, view.labels, strict=True)
        if label is not None and text.strip()
    ]
    ids, texts, labels = ([row[place] for row in known] for place in range(3))
    found, why = find_label_errors(ids, texts, labels, seed=seed)
    return [
        {"id": e.id, "given": e.given, "suggested": e.suggested, "score": e.score} for e in found
    ], why


def _leakage(view: View, gold: View | None) -> dict[str, Any]:
    if not view.has_text:
        return {}
    sides: dict[str, Sequence[int]] = dict(view.splits)
    ids, inputs, contents = list(view.ids), view.words, view.content_words
    if gold is not None and gold.has_text:
        start = len(ids)
        name = GOLD if GOLD not in sides else "gold file"
        sides[name] = range(start, start + len(gold))
        ids += gold.ids
        both = inputs.and_then(gold.words)
        contents = both if contents is inputs else contents.and_then(gold.content_words)
        inputs = both
    return measure_leakage(sides, ids, inputs, contents) if len(sides) > 1 else {}


def _gold_texts(gold: View | None, leakage: Mapping[str, Any]) -> dict[str, str] | None:
    """Id -> beginning of the input of the gold rows that were found."""
    if gold is None:
        return None
    found = {id for pair in leakage.values() for id in pair["other_rows"]}
    pairs = zip(gold.ids, gold.inputs, strict=True)
    return {id: text[:SHOWN_TEXT] for id, text in pairs if id in found}


def _view_like(items: Sequence[Item] | None, view: View, layout: Layout) -> View | None:
    """Other rows under the same mapping where they have its columns, else under their own."""
    if not items:
        return None
    names = {name for item in items for name in item.fields}
    columns = view.columns
    needed = [columns.input, columns.messages, columns.chosen, columns.rejected]
    if any(name and name not in names for name in needed) or not any(needed):
        own = guess_columns([item.fields for item in items], {})
        columns = replace(own, output=columns.output if columns.output in names else own.output)
    return View(items, columns, layout.missing)


def _resplit(items: Sequence[Item], column: str | None) -> list[Item]:
    if column is None:
        return list(items)
    found = []
    for item in items:
        split = label_of(item.fields.get(column)) or item.split
        found.append(replace(item, split=SPLITS.get(split.lower(), split)))
    return found


def _gold_labels(gold: Sequence[Item], layout: Layout, columns: Columns) -> dict[str, str] | None:
    """Unit -> label, from gold rows that name a unit as the ratings do; None where none can."""
    names = list(dict.fromkeys(name for item in gold for name in item.fields))
    if layout.long:
        keys, label = layout.unit, layout.label
        if not all(name in names for name in (*keys, label)):
            if len(names) != len(keys) + 1:
                return {}
            keys, label = tuple(names[:-1]), names[-1]
        places = {
            " | ".join(label_of(item.fields.get(k)) or "" for k in keys): item for item in gold
        }
    else:
        label = columns.output if columns.output in names else None
        if label is None or not (columns.raters or layout.votes):
            return None
        places = {item.id: item for item in gold}
    found = {unit: label_of(item.fields.get(str(label))) for unit, item in places.items()}
    return {unit: value for unit, value in found.items() if value is not None}


def _split_counts(items: Sequence[Item]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item.split] = counts.get(item.split, 0) + 1
    return counts


def _mapping(columns: Columns, layout: Layout, options: Options) -> dict[str, Any]:
    return {
        **columns.as_dict(),
        "raters": {name: list(found) for name, found in columns.raters.items()},
        "unit": list(layout.unit) or None,
        "rater": layout.rater,
        "label": layout.label,
        "votes": layout.votes,
        "missing": sorted(layout.missing),
        "level": options.level,
    }


def _marked(measured: Mapping[str, Any]) -> dict[str, list[str]]:
    """Kind of fault -> rows, for the tables of slices."""
    duplicates = measured["duplicates"]
    marked = {
        "suspected": [error["id"] for error in measured["label_errors"]],
        "repeats": duplicates["rows"] if duplicates else [],
        "disputed": [
            unit["rows"][0] for found in measured["agreement"].values() for unit in
            found["disputed"]
        ],
        "leaked": [row for pair in measured["leakage"].values() for row in pair["rows"]],
    }  # fmt: skip
    return {kind: rows for kind, rows in marked.items() if rows}


def _notes(
    view: View,
    layout: Layout,
    columns: Columns,
    measured: Mapping[str, Any],
    gold: View | None,
) -> list[str]:
    """Sentences a reader must know to read the figures."""
    notes = []
    if layout.long:
        how = "is taken for" if "unit" in columns.guessed else "is"
        notes.append(
            f"Each line {how} one rating of {', '.join(layout.unit)} by {layout.rater}; texts are "
            f"measured once for each of {len(view):,} units."
        )
    missing = sum(found["missing"] for found in measured["agreement"].values())
    if missing:
        shown = ", ".join(repr(text) for text in sorted(layout.missing) if text)
        usual = " (the usual marks; --missing names others)" if layout.missing == MISSING else ""
        notes.append(f"{missing:,} ratings are missing: empty, or one of {shown}{usual}.")
    if not view.has_text:
        notes.append("No column holds text to read: name one with --map input=COLUMN.")
    if len(view.splits) < 2 and gold is None:
        notes.append("Leakage needs a second split, or --gold FILE.")
    if gold is not None and not gold.has_text:
        notes.append("The gold file holds no text that could be looked for in the dataset.")
    if not layout.long and not columns.raters and not layout.votes:
        if alike := _alike_columns(view):
            notes.append(
                f"{', '.join(alike)} hold the same labels: if they are raters, give --annotators."
            )
        names = {name for item in view.items[:100] for name in item.fields}
        likely = [n for n in names if any(w in n.lower() for w in ("worker", "annotator", "rater"))]
        if likely:
            notes.append(
                f"{', '.join(sorted(likely))} may name raters: for one line per rating give "
                "--unit, --rater and --label."
            )
    return notes


def _alike_columns(view: View) -> list[str]:
    """Columns of short values that hold the same two to ALIKE_LABELS different ones."""
    columns = view.columns
    used = {columns.input, columns.output, columns.chosen, columns.rejected, *columns.context}
    groups: dict[frozenset[str], list[str]] = {}
    for name in dict.fromkeys(name for item in view.items for name in item.fields):
        values = [item.fields.get(name) for item in view.items]
        if name in used or any(isinstance(value, list | dict | bool) for value in values):
            continue
        labels = frozenset(filter(None, map(label_of, values))) - view.missing
        if 2 <= len(labels) <= ALIKE_LABELS and max(map(len, labels)) <= LONGEST_LABEL:
            groups.setdefault(labels, []).append(name)
    return (
        max(groups.values(), key=len, default=[])
        if any(len(names) > 2 for names in groups.values())
        else []
    )
