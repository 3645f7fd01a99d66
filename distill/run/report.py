"""Puts the run's report together from its done stages: report.json and report.html."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from distill.evaluate.economics import economics
from distill.evaluate.verdict import verdict
from distill.report.html import render
from distill.report.model import empty_report
from distill.rows.atomic import atomic_file
from distill.rows.row import Row
from distill.rows.stages import read_stage
from distill.run.context import Context
from distill.run.directory import RunDirectory
from distill.run.evaluate.answer_parts import ANSWER_PARTS
from distill.run.evaluate.parts import PARTS
from distill.run.keys import recipe_hash
from distill.run.ledger import events
from distill.run.review.reviewed import review_part

SAMPLES = 12
RUNNING = ("cost_per_1000", "rows_per_s", "tokens_per_row")
"""Figures of running a system; that one has none needs no sentence."""


def write_report(context: Context) -> dict[str, Any]:
    """Writes report.json and report.html from whatever is done and returns the report."""
    directory = context.directory
    report = build_report(context)
    directory.write_json(directory.root / "report.json", report)
    locked = directory.read_json("lock.json") or {}
    page = render(
        report,
        samples_of(directory),
        notes_of(context),
        recipe=_recipe_text(directory),
        versions=locked.get("versions"),
    )
    with atomic_file(directory.root / "report.html") as file:
        file.write(page)
    return report


def _recipe_text(directory: RunDirectory) -> str:
    path = directory.root / "recipe.yaml"
    return path.read_text("utf-8") if path.is_file() else ""


def build_report(context: Context) -> dict[str, Any]:
    """report.json as CONTRACT section 4 fixes it."""
    recipe, directory = context.recipe, context.directory
    report = empty_report(recipe.name, recipe_hash(recipe))
    lock = directory.read_json("lock.json") or {}
    report["run"]["started"] = lock.get("started")
    report["run"]["seconds"] = seconds_spent(directory)
    for stage in ("generate", "filter", "review", "split"):
        if done := directory.done(stage):
            told = {"filters": _filters(done.details)} if stage == "filter" else {}
            report["rows"].append({"stage": stage, **done.counts, **told})
    if done := directory.done("generate"):
        report["shortfall"] = done.details.get("shortfall")
        report["probe"] = done.details.get("probe")
    report["cost"] = context.teachers.budget.totals().as_dict()
    report["review"] = review_part(context)
    if done := directory.done("train"):
        report["training"] = done.details["training"]
        report["curves"] = done.details["curves"]
    if done := directory.done("evaluate"):
        for part in ("metrics", "metrics_on", "metrics_by_set", "seeds"):
            report[part] = done.details[part]
        for part in (*PARTS, *ANSWER_PARTS):
            report[part] = done.details.get(part)
    price = recipe.student.price if recipe.student else None
    report["economics"] = economics(report, price.model_dump() if price else None)
    if directory.done("split"):
        report["verdict"] = verdict(report)
    return report


def _filters(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each filter in its place: what it was given and dropped, and what it tells of itself."""
    facts = details.get("facts", {})
    return [
        {**step, **({"facts": facts[step["filter"]]} if step["filter"] in facts else {})}
        for step in details.get("waterfall", [])
    ]


def seconds_spent(directory: RunDirectory) -> float:
    """Seconds that stages took, over all resumes."""
    finished = (event for event in events(directory.ledger) if event["kind"] == "finished")
    return float(sum(event["data"].get("seconds", 0.0) for event in finished))


def samples_of(directory: RunDirectory) -> dict[str, Any]:
    """A few rows of each kind for the page."""
    filtered = list(read_stage(directory.stage("filter"))) if directory.done("filter") else []
    evaluate = directory.done("evaluate")
    return {
        "accepted": _shown(row for row in filtered if row.status == "accepted"),
        "rejected": _spread([row for row in filtered if row.status == "rejected"]),
        "answers": list(evaluate.details["answers"]) if evaluate else [],
    }


def _shown(rows: Iterable[Row]) -> list[dict[str, Any]]:
    return [
        {"id": row.id, "reason": row.reason, "fields": dict(row.fields)}
        for row in islice(rows, SAMPLES)
    ]


def _spread(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A few of every reason, so that a common one does not hide the others."""
    by_reason: dict[str, list[Row]] = {}
    for row in rows:
        by_reason.setdefault(row.reason or "", []).append(row)
    share = max(1, SAMPLES // max(1, len(by_reason)))
    return _shown(row for _, group in sorted(by_reason.items()) for row in group[:share])


def notes_of(context: Context) -> list[str]:
    """Sentences that belong beside the table."""
    return [
        *_filter_notes(context.directory),
        *soft_label_notes(context.recipe.evaluate),
        *_why_missing(context.directory),
    ]


def _filter_notes(directory: RunDirectory) -> list[str]:
    """What a reader of the figures should know of the filters."""
    done = directory.done("filter")
    if done is None:
        return []
    notes = []
    if names := done.details.get("restored"):
        notes.append(f"People brought back what these filters had dropped: {', '.join(names)}.")
    for name, facts in done.details.get("facts", {}).items():
        if "note" in facts:
            notes.append(f"{facts['note']}.")
        elif name == "quality":
            notes.append(_quality_note(facts))
    return notes


def _quality_note(facts: Mapping[str, Any]) -> str:
    auc, kept = facts["auc"], facts["approved_kept"]
    if auc["value"] is None:
        return f"The quality model could not be measured: {auc['why']}."
    return (
        f"The quality model, taught by {facts['approved']} approved rows, puts a held-out approved "
        f"row above {'a rejected' if facts['against'] == 'rejected' else 'an unreviewed'} one with "
        f"probability {auc['value']:.2f} [{auc['low']:.2f}, {auc['high']:.2f}] and keeps "
        f"{kept['value']:.0%} of the approved ones."
    )


def soft_label_notes(evaluate: Any) -> list[str]:
    """When soft labels help, where the comparison is shown."""
    if evaluate is None or not {"hard_labels", "hard_labels_confident"} & set(evaluate.compare):
        return []
    return [
        "Soft labels help where the teacher's best guess throws information away: inputs with more "
        "than one fair answer, few rows, a student much smaller than its teacher. On clean inputs "
        "with one clear answer each the gain mostly disappears, and training on confident hard "
        "labels alone can do as well or better.",
    ]


def _why_missing(directory: RunDirectory) -> list[str]:
    done = directory.done("evaluate")
    figures: Mapping[str, Mapping[str, Any]] = (done.details["metrics"] or {}) if done else {}
    reasons = {
        f"{system}: no {metric}, {figure['why']}."
        for system, metrics in figures.items()
        for metric, figure in metrics.items()
        if figure.get("value") is None and metric not in RUNNING
    }
    return sorted(reasons)
