"""The step between filters and split: people look at rows, and what they merged goes on."""

from collections.abc import Sequence
from typing import Any

from distill.errors import Problem, ReviewPending
from distill.recipe.schema import Recipe
from distill.review.export import make_packs
from distill.review.log import read_log
from distill.review.merged_file import decided, read_merged, state_of
from distill.review.pack import Pack, read_packs, write_pack
from distill.review.verdicts import current, in_conflict
from distill.rows.row import Row, Verdict, digest
from distill.rows.stages import read_stage, write_stage
from distill.run.context import Context, Outcome
from distill.run.directory import RunDirectory, now
from distill.run.keys import Sources
from distill.run.review.place import run_source
from distill.run.rows.steps import counts_of, rows_digest

FORMAT = 1


def review_slice(recipe: Recipe, sources: Sources) -> dict[str, Any]:
    """What the step depends on beside the rows and what was merged."""
    review = recipe.review.model_dump(mode="json") if recipe.review else None
    return {"format": FORMAT, "seed": recipe.seed, "review": review}


def merged_state(directory: RunDirectory) -> str | None:
    """Hash of what people merged, None where nothing was."""
    return state_of(directory.root / "review")


def review_step(context: Context) -> Outcome:
    """Writes a pack, waits for people where the recipe says so, puts in what they merged.

    Raises: ReviewPending when the recipe says `stop: true` and nothing has been merged.
    """
    recipe, directory = context.recipe, context.directory
    rows = [row for row in read_stage(directory.stage("filter")) if row.status == "accepted"]
    folder = directory.root / "review"
    merged = read_merged(folder)
    if recipe.review is not None and rows and merged is None:
        pack = _pack(recipe, directory, rows)
        if recipe.review.stop:
            raise _pending(recipe, directory, rows, pack)
        context.say("review", f"{len(pack.rows)} rows to look at: {_export_line(directory)}")
    reviewed = [*rows]
    details: dict[str, Any] = {"merged": None}
    if merged is not None:
        reviewed, stale = _put_in(rows, merged)
        details = {"merged": {"version": merged.get("version"), "policy": merged["policy"]}}
        if stale:
            context.say("review", f"{stale} merged rows have changed since and were left out")
    write_stage(directory.stage("review"), reviewed)
    return Outcome(rows_digest(reviewed), counts_of(reviewed), details)


def _put_in(rows: Sequence[Row], merged: Any) -> tuple[list[Row], int]:
    """The rows with edits, and those that people took out as rejected; how many had changed."""
    known, held_back = decided(merged), set(merged["held_back"])
    made, stale = [], 0
    for row in rows:
        said = known.get(row.id)
        if row.id in held_back:
            made.append(_out(row, "review_gold"))
            continue
        if said is None:
            made.append(row)
            continue
        if said.content_hash != digest(dict(row.fields)):
            stale += 1
            made.append(row)
        elif said.outcome in ("rejected", "waiting"):
            made.append(_out(row, f"review_{said.outcome}"))
        else:
            verdict = Verdict("review", True)
            fields = {**row.fields, **said.edits}
            made.append(Row(row.id, fields, verdicts=(*row.verdicts, verdict)))
    return made, stale


def _out(row: Row, why: str) -> Row:
    verdicts = (*row.verdicts, Verdict("review", False, why))
    return Row(row.id, row.fields, "rejected", why, None, verdicts)


def _pack(recipe: Recipe, directory: RunDirectory, rows: Sequence[Row]) -> Pack:
    """The pack that the recipe asks for; the same rows give the same one again."""
    assert recipe.review is not None
    folder = directory.root / "review"
    source = run_source(recipe, directory, rows)
    [pack] = make_packs(
        source,
        rows=recipe.review.rows,
        choose=recipe.review.choose,
        kind=recipe.review.kind,
        overlap=recipe.review.overlap if recipe.review.overlap > 1 else None,
        reviewers=(),
        packs=read_packs(folder),
        now=now(),
    )
    write_pack(folder, pack)
    return pack


def _export_line(directory: RunDirectory) -> str:
    return f"distill review export {directory.root} --to review.csv --format csv"


def _pending(
    recipe: Recipe, directory: RunDirectory, rows: Sequence[Row], pack: Pack
) -> ReviewPending:
    """What to do now, and how far it has come."""
    source = run_source(recipe, directory, rows)
    counted = current(read_log(source.folder), source.hashes())
    done = sum(row.row_id in counted for row in pack.rows)
    differ = sum(
        in_conflict(reviews, source.rows[id], source.outputs) for id, reviews in counted.items()
    )
    open_ = f", reviewers differ on {differ}" if differ else ""
    root = directory.root
    fix = (
        f"Review them with `distill review serve {root}`, or `{_export_line(directory)}` and "
        f"`distill review import {root} review.csv`; then `distill review merge {root}`, and run "
        "the same command again."
    )
    found = f"waiting for review: {done} of {len(pack.rows)} rows have been looked at{open_}"
    problem = Problem(found, file=recipe._source or None, key="review.stop", fix=fix)
    return ReviewPending(str(problem), [problem])
