"""The group `review`: packs out, decisions in, agreement, conflicts, merges."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.errors import Problem, UsageError

RunArg = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's folder, a name under ./runs, or a dataset file."),
]
ToOption = Annotated[Path, typer.Option("--to", metavar="FILE", help="Where it goes.")]
OutputsOption = Annotated[
    str | None,
    typer.Option(
        "--output", metavar="FIELD,...", help="Fields that reviewers correct; default: the answer."
    ),
]
LabelsOption = Annotated[
    str | None,
    typer.Option("--labels", metavar="A,B,...", help="The only values of that field (files)."),
]
RubricOption = Annotated[
    str | None, typer.Option("--rubric", metavar="NAME|FILE", help="Shown beside the rows.")
]
PolicyOption = Annotated[
    str, typer.Option("--policy", help="consensus (conflicts wait), majority, or latest.")
]
CHOICES = {
    "--format": ("jsonl", "csv", "xlsx", "label-studio", "argilla", "html"),
    "--choose": ("random", "doubtful", "mixed"),
    "--kind": ("correct", "gold"),
    "--policy": ("consensus", "majority", "latest"),
}
MOST_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    group = typer.Typer(
        help="People in the loop: send rows out, take decisions in, merge them.",
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    group.command("export")(export)
    group.command("import")(import_)
    group.command("serve")(serve)
    group.command("agree")(agree)
    group.command("adjudicate")(adjudicate)
    group.command("merge")(merge)
    group.command("gold")(gold)
    group.command("shots")(shots)
    app.add_typer(group, name="review")


def export(
    context: typer.Context,
    run: RunArg,
    to: ToOption,
    format: Annotated[
        str, typer.Option("--format", help="jsonl, csv, xlsx, label-studio, argilla or html.")
    ] = "csv",
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=1, help="How many; default: all, or what the recipe says."),
    ] = None,
    choose: Annotated[
        str | None, typer.Option("--choose", help="random, doubtful or mixed.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="correct (the answer is shown) or gold (it is hidden)."),
    ] = None,
    overlap: Annotated[
        int | None, typer.Option("--overlap", min=1, help="Reviewers that each row goes to.")
    ] = None,
    reviewer: Annotated[
        str | None,
        typer.Option("--reviewer", metavar="NAME", help="Whom it is for; several with commas."),
    ] = None,
    output: OutputsOption = None,
    labels: LabelsOption = None,
    rubric: RubricOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the draw.")] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            "--ids",
            metavar="FILE",
            help="Only these rows: an id on each line, or the .json that inspect --json printed.",
        ),
    ] = None,
    fix: Annotated[
        str | None,
        typer.Option("--fix", metavar="KIND", help="Of that .json one kind, e.g. label_errors."),
    ] = None,
) -> None:
    """Choose rows and write them for reviewers."""
    from distill.review.named import read_named
    from distill.run.review import work
    from distill.run.review.place import find_place

    _refuse("--format", format)
    _refuse("--choose", choose)
    _refuse("--kind", kind)
    if fix is not None and ids is None:
        problem = Problem("--fix says which rows of --ids FILE, which is missing")
        raise UsageError(str(problem), [problem])
    named = read_named(ids, fix) if ids else None
    place = find_place(run, outputs=_names(output), labels=_names(labels), rubric=rubric, seed=seed)
    made = work.export(
        place,
        to,
        format,
        rows=rows,
        choose=choose,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
        overlap=overlap,
        reviewers=_names(reviewer),
        named=named,
    )
    out: Output = context.obj
    files = made.get("packs") or [made]
    lines = [f"{f['rows']} rows in {f['to']} (pack {f['pack_id']})" for f in files]
    lines += [f"note: {warning}" for f in files for warning in f["warnings"]]
    out.result(made, "\n".join(lines))


def import_(
    context: typer.Context,
    run: RunArg,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What came back.")],
    reviewer: Annotated[
        str | None,
        typer.Option("--reviewer", metavar="NAME", help="Who decided, where the file is silent."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, write nothing.")
    ] = False,
) -> None:
    """Take decisions back: first a plan for every row, then the log."""
    from distill.run.review import work
    from distill.run.review.place import find_place

    plan = work.import_file(find_place(run), file, reviewer=reviewer, dry_run=dry_run)
    out: Output = context.obj
    found = plan.as_dict(dry_run=dry_run)
    out.result(found, _tell_plan(found))
    if not plan.clean:
        raise typer.Exit(1)


def _tell_plan(plan: Mapping[str, Any]) -> str:
    head = "plan, nothing written" if plan["dry_run"] else "imported"
    lines = [f"{head} ({plan['format']}):"]
    for outcome, count in plan["counts"].items():
        ids = plan["rows"][outcome]
        shown = ", ".join(ids[:MOST_SHOWN]) + (
            f" and {count - MOST_SHOWN} more" if count > MOST_SHOWN else ""
        )
        some = f"  {shown}" if count and outcome != "applied" and outcome != "unchanged" else ""
        lines.append(f"  {outcome:<10} {count:>6}{some}")
    if plan["undecided"]:
        lines.append(f"  {plan['undecided']} rows hold no decision yet")
    if plan["altered_cells"]:
        lines.append(
            f"  a spreadsheet altered {plan['altered_cells']} cells; decisions were still taken"
        )
    for note, count in plan["notes"].items():
        lines.append(f"  note: {note}: {count}")
    for problem in plan["problems"][:MOST_SHOWN]:
        where = f"line {problem['line']}" if problem["line"] else "?"
        column = f", {problem['column']}" if problem["column"] else ""
        lines.append(f"  {where}{column}: {problem['what']}")
    if len(plan["problems"]) > MOST_SHOWN:
        lines.append(f"  and {len(plan['problems']) - MOST_SHOWN} more problems (--json has all)")
    return plain("\n".join(lines))


def serve(
    context: typer.Context,
    run: RunArg,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 0,
    pack: Annotated[
        str | None, typer.Option("--pack", metavar="ID", help="Default: the newest.")
    ] = None,
) -> None:
    """Open a page on this machine for one or several reviewers."""
    from distill.run.review import work
    from distill.run.review.place import find_place

    work.serve(find_place(run), port, _announcer(context.obj), pack_id=pack)


def _announcer(out: Output) -> Callable[[Mapping[str, Any]], None]:
    def announce(told: Mapping[str, Any]) -> None:
        text = f"{told['rows']} rows to review: {told['url']}\nCtrl-C stops; nothing is lost."
        out.result(told, text)
        sys.stdout.flush()
        sys.__stdout__.flush() if sys.__stdout__ else None

    return announce


def agree(context: typer.Context, run: RunArg, output: OutputsOption = None) -> None:
    """Say how far reviewers agree, and how wrong the dataset is."""
    from distill.run.review import work
    from distill.run.review.place import reviewed_place

    out: Output = context.obj
    found = work.agree(reviewed_place(run, outputs=_names(output)))
    lines = []
    for name, shape in found["agreement"].items():
        lines.append(f"{name}: {shape['units_used']} of {shape['units']} rows seen by two or more")
        for what in ("percent_interval", "fleiss", "alpha"):
            lines.append(f"  {what.removesuffix('_interval'):<8} {_figure(shape[what])}")
        for pair, figure in shape["cohen"].items():
            lines.append(f"  cohen {pair}  {_figure(figure)}")
    lines.append(f"error rate of the dataset: {_figure(found['error_rate'])}")
    if found["other_schemas"]:
        lines.append(f"{len(found['other_schemas'])} earlier rubrics or label sets: see --json")
    out.result(found, plain("\n".join(lines)))


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return f"undefined: {figure['why']}"
    if figure["low"] is None:
        return f"{figure['value']:.3f} (n {figure['n']})"
    low, high = figure["low"], figure["high"]
    return f"{figure['value']:.3f} [{low:.3f}, {high:.3f}] (n {figure['n']})"


def adjudicate(
    context: typer.Context,
    run: RunArg,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the queue to decide on.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="As for export; default: by FILE's ending.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Decide on the page.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 0,
) -> None:
    """Show the rows on which reviewers differ, or send them to whoever has the last word."""
    from distill.run.review import work
    from distill.run.review.place import reviewed_place

    _refuse("--format", format)
    place = reviewed_place(run)
    found = work.conflicts(place)
    result: dict[str, Any] = {"conflicts": len(found), "rows": found}
    lines = [f"{len(found)} rows on which reviewers differ"]
    pack = work.conflict_pack(place) if found and (to or serve) else None
    if pack is not None and serve:
        work.serve(place, port, _announcer(context.obj), pack=pack)
        return
    if pack is not None and to is not None:
        made = work.write(place, pack, to, format or _format_of(to))
        result |= {"pack_id": made["pack_id"], "to": made["to"]}
        lines.append(f"written to {to}; import it as any other file: its decisions are final")
    else:
        for row in found[:MOST_SHOWN]:
            said = "; ".join(
                f"{n}: {t['decision']} {t['edits'] or ''}" for n, t in row["said"].items()
            )
            lines.append(f"  {row['row_id']}  agreement {row['agreement']:.2f}  {said[:200]}")
    out: Output = context.obj
    out.result(result, plain("\n".join(lines)))


def _format_of(path: Path) -> str:
    endings = {".csv": "csv", ".xlsx": "xlsx", ".html": "html", ".json": "label-studio"}
    return endings.get(path.suffix.lower(), "jsonl")


def merge(context: typer.Context, run: RunArg, policy: PolicyOption = "consensus") -> None:
    """Put the reviews into a new version of the dataset."""
    from distill.run.review import work
    from distill.run.review.place import reviewed_place

    _refuse("--policy", policy)
    found = work.merge_reviews(reviewed_place(run), policy)  # type: ignore[arg-type]
    names = ("accepted", "edited", "rejected", "waiting", "unreviewed")
    counts = ", ".join(f"{found[name]} {name}" for name in names)
    lines = [
        f"version {found['version']} in {found['dataset']}: {counts}",
        f"{found['preferences']} preference pairs",
    ]
    for field, changes in found["diff"]["changes"].items():
        lines += [f"  {field}: {c['from']} -> {c['to']} ({c['rows']})" for c in changes[:10]]
    out: Output = context.obj
    out.result(found, plain("\n".join(lines)))


def gold(
    context: typer.Context,
    run: RunArg,
    to: ToOption,
    policy: PolicyOption = "consensus",
    reviews: Annotated[int, typer.Option("--reviews", min=1, help="Fewest blind reviews.")] = 2,
    force: Annotated[
        bool, typer.Option("--force", help="Take rows whose reviewers saw the model's answer.")
    ] = False,
) -> None:
    """Write a gold set of blind reviews; its rows leave the training set."""
    from distill.run.review import work
    from distill.run.review.place import reviewed_place

    _refuse("--policy", policy)
    place = reviewed_place(run, kind="gold")
    made = work.gold(place, to, policy=policy, reviews=reviews, force=force)  # type: ignore[arg-type]
    text = f"{made['rows']} gold rows in {to}"
    if made["saw_suggestion"]:
        text += f"; {made['saw_suggestion']} of them by reviewers who saw the model's answer"
    out: Output = context.obj
    out.result(made, text)


def shots(
    context: typer.Context,
    run: RunArg,
    to: ToOption,
    policy: PolicyOption = "consensus",
    number: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 8,
) -> None:
    """Write approved rows as few-shot examples, none of them in or near a gold set."""
    from distill.run.review import work
    from distill.run.review.place import reviewed_place

    _refuse("--policy", policy)
    made = work.shots(reviewed_place(run), to, policy=policy, number=number)  # type: ignore[arg-type]
    out: Output = context.obj
    out.result(made, f"{made['rows']} examples in {to}")


def plain(text: str) -> str:
    """Text from files without what a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def _refuse(option: str, value: str | None) -> None:
    if value is not None and value not in CHOICES[option]:
        problem = Problem(f"{option} {value!r} is not known", allowed=", ".join(CHOICES[option]))
        raise UsageError(str(problem), [problem])


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []
