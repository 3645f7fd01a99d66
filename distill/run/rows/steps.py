"""The steps that make rows: generate, filter, split (which writes the dataset)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any

from distill.errors import BudgetPaused, DataError, Problem, RunError
from distill.filters.chain import Chain, build_chain, with_gold
from distill.generate.stage import Interrupted, run_generate
from distill.recipe.files import locate
from distill.recipe.filtering import asks
from distill.recipe.generation import LINEAGE, SampleField
from distill.recipe.given import objective_of
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask
from distill.report.card import dataset_card
from distill.review.merged_file import decided, read_merged
from distill.rows.dataset import DatasetRow, write_dataset
from distill.rows.readers import read_records
from distill.rows.row import Row, canonical_json, digest
from distill.rows.stages import read_stage, write_stage
from distill.run.context import Context, Outcome
from distill.run.directory import RunDirectory
from distill.run.packages import student_tokenizer
from distill.run.rows.card import dataset_facts
from distill.run.rows.finished import dataset_row, learnt_rows
from distill.run.rows.judge_split import split_of, with_provenance
from distill.run.rows.pace import Pace
from distill.run.teachers import Teachers
from distill.split.split import split_rows

APPROVED = {"accepted": True, "edited": True, "rejected": False}
"""What a merged review says of a row; other outcomes say nothing."""


def generate_step(context: Context) -> Outcome:
    """Proposes and fills candidates; with a target, the filters decide what counts."""
    recipe = context.recipe
    try:
        with context.asking() as teachers:
            chain = _chain(context, teachers) if _joint(recipe) else None
            made = context.runner.run(
                run_generate(
                    recipe,
                    teachers,
                    chain.sift if chain else None,
                    Pace(context, teachers),
                    spread=context.engine.spread(),
                )
            )
    except Interrupted as stop:
        raise budget_error(context, stop) from stop
    if chain is not None:
        # Kept with the candidates: asked again, a teacher might answer what it once failed to.
        write_stage(context.directory.stage("filter"), made.sifted)
    write_stage(context.directory.stage("generate"), made.candidates)
    shortfall = asdict(made.shortfall) if made.shortfall else None
    outputs = digest([rows_digest(made.candidates), rows_digest(made.sifted)])
    details = {"shortfall": shortfall, "facts": chain.facts() if chain else {}}
    return Outcome(outputs, counts_of(made.candidates), details)


def filter_state(recipe: Recipe, directory: RunDirectory) -> list[Any]:
    """What people have decided that the filters heed: drops taken back, rows approved."""
    return [directory.restored(), _approved(recipe, directory)]


def filter_step(context: Context) -> Outcome:
    """Gives every candidate its verdicts."""
    directory, names = context.directory, context.directory.restored()
    answered = [row for row in read_stage(directory.stage("generate")) if row.status == "accepted"]
    if _joint(context.recipe):
        rows = list(read_stage(directory.stage("filter")))
        made = directory.done("generate")
        facts = made.details.get("facts", {}) if made else {}
    else:
        approved = _approved(context.recipe, directory)
        with _asking(context) as teachers:
            chain = _chain(context, teachers, approved=approved)
            rows = context.runner.run(chain.sift(answered))
        facts = chain.facts()
    if names:
        rows = _bring_back(context, rows, answered, names)
    write_stage(directory.stage("filter"), rows)
    order = [spec.kind for _, spec in with_gold(context.recipe)]
    details = {
        "order": order,
        "waterfall": waterfall(order, rows),
        "facts": facts,
        "restored": names,
    }
    return Outcome(rows_digest(rows), counts_of(rows), details)


def _bring_back(
    context: Context, rows: Sequence[Row], answered: Sequence[Row], names: Sequence[str]
) -> list[Row]:
    """The rows with what some filters dropped judged anew, as a further round without those drops.

    Filters that come later still judge them; what was accepted before stays as it is.
    """
    back = {row.id for row in rows if row.status == "rejected" and dropped_by(row) in names}
    kept = {row.id for row in rows if row.status == "accepted"}
    if not back:
        return list(rows)
    approved = _approved(context.recipe, context.directory)
    with _asking(context) as teachers:
        chain = _chain(context, teachers, frozenset(names), approved)
        context.runner.run(chain.recall([row for row in answered if row.id in kept]))
        again = context.runner.run(chain.sift([row for row in answered if row.id in back]))
    judged = {row.id: row for row in again}
    return [judged.get(row.id, row) for row in rows]


def dropped_by(row: Row) -> str | None:
    """The filter that a rejected row's reason names."""
    return row.reason.partition(":")[0] if row.reason else None


def waterfall(order: Sequence[str], rows: Iterable[Row]) -> list[dict[str, Any]]:
    """What each filter was given and dropped, in the order they ran."""
    steps: list[dict[str, Any]] = [
        {"filter": name, "in": 0, "dropped": 0, "restored": 0, "reasons": Counter()}
        for name in order
    ]
    for row in rows:
        for step, verdict in zip(steps, row.verdicts, strict=False):
            step["in"] += 1
            if not verdict.keep:
                step["dropped"] += 1
                step["reasons"][verdict.reason or step["filter"]] += 1
            elif verdict.reason and verdict.reason.startswith("restored:"):
                step["restored"] += 1
    return [{**step, "reasons": dict(sorted(step["reasons"].items()))} for step in steps]


def _joint(recipe: Recipe) -> bool:
    """Whether generation and filters go on together until enough rows are accepted."""
    return recipe.generate is not None and recipe.generate.accept is not None


def split_step(context: Context) -> Outcome:
    """Splits the accepted rows and writes the dataset."""
    recipe, directory = context.recipe, context.directory
    sifted = list(read_stage(directory.stage("filter")))
    rows = [row for row in sifted if row.status == "accepted"]
    if directory.done("review"):
        looked_at = list(read_stage(directory.stage("review")))
        sifted = [*(row for row in sifted if row.status != "accepted"), *looked_at]
        rows = [row for row in looked_at if row.status == "accepted"]
    parts = with_provenance(recipe.task, _split(recipe, rows))
    prompt = TaskPrompt.from_recipe(recipe)
    make = partial(dataset_row, shape_of(recipe), prompt)
    learnt = {**parts, "train": learnt_rows(recipe, parts["train"], prompt)}
    splits = {name: [make(row) for row in part] for name, part in learnt.items()}
    candidates = read_stage(directory.stage("generate"))
    failed = [row for row in candidates if row.status != "accepted"]
    rejected = sorted(
        (row for row in [*sifted, *failed] if row.status != "accepted"), key=lambda r: r.id
    )
    counts = {name: len(part) for name, part in parts.items()}
    copies = len(learnt["train"]) - len(parts["train"])
    card = dataset_card(dataset_facts(context, counts, rejected, copies))
    write_dataset(directory.dataset, splits, rejected, card)
    write_stage(
        directory.stage("split"),
        (
            Row(row.id, {**row.fields, "split": name}, verdicts=row.verdicts)
            for name, part in parts.items()
            for row in part
        ),
    )
    outputs = dataset_digest(splits)
    return Outcome(outputs, counts_of(rows), {"splits": counts, "copies": copies})


def _split(recipe: Recipe, rows: Sequence[Row]) -> Mapping[str, Sequence[Row]]:
    if recipe.split is None:
        return {"train": rows}
    fields = recipe.generate.fields if recipe.generate else {}
    grown = [
        f"{name}_id"
        for name, spec in fields.items()
        if isinstance(spec, SampleField) and spec.sample in LINEAGE and not spec.count
    ]
    labelled = recipe.task.output if isinstance(recipe.task, ClassifyTask) else None
    return split_rows(
        rows,
        split_of(recipe.task, recipe.split, rows),
        recipe.seed,
        recipe.task.input,
        label_field=labelled,
        seed_fields=grown,
    )


def shape_of(recipe: Recipe) -> str:
    """What the dataset's rows are learnt by; pairs are made also where nothing is trained."""
    fields = recipe.generate.fields if recipe.generate else {}
    pairs = recipe.train is None and {"chosen", "rejected"} <= fields.keys()
    return "dpo" if pairs else objective_of(recipe)


def _approved(recipe: Recipe, directory: RunDirectory) -> dict[str, bool]:
    """Row id -> whether people approved it, for quality filters that learn from this run's review.

    Not where filters decide what is generated: rows would be asked for anew after every review.
    """
    learns = any(spec.kind == "quality" and spec.file is None for spec in recipe.filter)
    merged = read_merged(directory.root / "review") if learns and not _joint(recipe) else None
    found = decided(merged) if merged else {}
    return {id: APPROVED[row.outcome] for id, row in found.items() if row.outcome in APPROVED}


def _asking(context: Context) -> AbstractContextManager[Teachers]:
    """The teachers that the filters ask, wherever they do."""
    paid = any(asks(spec) is not None for spec in context.recipe.filter)
    return context.asking() if paid else nullcontext(context.teachers)


def _chain(
    context: Context,
    teachers: Teachers,
    restored: frozenset[str] = frozenset(),
    approved: Mapping[str, bool] | None = None,
) -> Chain:
    recipe = context.recipe
    counts_tokens = any(getattr(spec, "tokens", None) for spec in recipe.filter)
    tokenizer = student_tokenizer(context) if counts_tokens else None
    return build_chain(
        recipe,
        gold=gold_records(context),
        tokenizer=tokenizer,
        teachers=teachers,
        elsewhere=context.engine.elsewhere(),
        restored=restored,
        approved=approved,
        listen=context.listen,
    )


def gold_records(context: Context) -> Sequence[Mapping[str, Any]]:
    """The gold rows, or none."""
    recipe = context.recipe
    return read_records(locate(recipe, recipe.data.gold)) if recipe.data.gold else []


def counts_of(rows: Iterable[Row]) -> dict[str, Any]:
    """How rows ended: in = accepted + rejected + failed, with the reasons counted.

    Raises: RunError if the sum does not hold.
    """
    rows = list(rows)
    status = Counter(row.status for row in rows)
    if sum(status.values()) != len({row.id for row in rows}):
        raise RunError(f"{len(rows)} rows hold only {len({row.id for row in rows})} different ids")
    reasons = Counter(row.reason or "unknown" for row in rows if row.status != "accepted")
    return {
        "in": len(rows),
        "accepted": status["accepted"],
        "rejected": status["rejected"],
        "failed": status["failed"],
        "reasons": dict(sorted(reasons.items())),
    }


def rows_digest(rows: Iterable[Row]) -> str:
    """Hash of rows with their verdicts, in id order."""
    return _digest_lines(
        canonical_json([row.id, row.status, row.reason, row.fields])
        for row in sorted(rows, key=lambda row: row.id)
    )


def dataset_digest(splits: Mapping[str, Sequence[DatasetRow]]) -> str:
    """Hash of what training sees."""
    return _digest_lines(
        canonical_json([name, row.id, *_learnt(row), row.fields])
        for name in sorted(splits)
        for row in sorted(splits[name], key=lambda row: row.id)
    )


def _learnt(row: DatasetRow) -> list[Any]:
    if row.messages is None:
        return [{key: value for key, value in row.as_dict().items() if key != "fields"}]
    return [[[turn.role, turn.content] for turn in row.messages]]


def _digest_lines(lines: Iterable[str]) -> str:
    import hashlib

    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode())
        total.update(b"\n")
    return total.hexdigest()


def budget_error(context: Context, stop: Interrupted) -> Exception:
    """What to tell when the spending cap was reached, as the recipe's `on_limit` says."""
    recipe = context.recipe
    wanted, word = _wanted(recipe)
    spent = context.teachers.budget.totals()
    rest = ""
    if wanted and stop.accepted and spent.usd:
        usd = (wanted - stop.accepted) * spent.usd / stop.accepted
        rest = f"; at this rate the other {wanted - stop.accepted} would cost about {usd:.4g} USD"
    of = f" of {wanted}" if wanted else ""
    return limit_error(recipe, f"{stop.cause} {stop.accepted}{of} rows are {word} so far{rest}")


def _wanted(recipe: Recipe) -> tuple[int | None, str]:
    """How many rows the run is after, and what has to become of each."""
    generate = recipe.generate
    if generate is None or generate.accept is not None:
        return (generate.accept if generate else None), "accepted"
    if recipe.data.pool is None:
        return generate.candidates, "answered"
    rows = len(read_records(locate(recipe, recipe.data.pool)))
    return min(rows, generate.candidates or rows), "answered"


def limit_error(recipe: Recipe, found: str) -> BudgetPaused | RunError:
    """The error for a cap that was reached, as `budget.on_limit` says."""
    problem = Problem(
        file=recipe._source,
        key="budget",
        found=found,
        fix="Raise the cap with --set and run the same command: nothing paid is asked again.",
    )
    kind = BudgetPaused if recipe.budget.on_limit == "pause" else RunError
    return kind(str(problem), [problem])


def require_rows(context: Context) -> None:
    """Raises DataError when no row survived, before anything is trained on nothing."""
    done = context.directory.done("filter")
    if done and done.counts["accepted"] == 0:
        reasons = ", ".join(f"{name} {count}" for name, count in done.counts["reasons"].items())
        problem = Problem(
            file=context.recipe._source,
            key="filter",
            found=f"no row survived the filters ({reasons or 'there were none'})",
            fix="See `distill report` for what they dropped.",
        )
        raise DataError(str(problem), [problem])
