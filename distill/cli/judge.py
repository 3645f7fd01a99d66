"""Commands around judges: eval."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.output import Output
from distill.errors import Problem, UsageError


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    group = typer.Typer(help="Grade and compare answers, and measure judges against people.")
    group.command("eval")(evaluate)
    app.add_typer(group, name="judge")


def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Rows that people judged.")],
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge", metavar="DIR|TEACHER", help="A judge, a run, or RECIPE:TEACHER to ask."
        ),
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option("--verdicts", metavar="FILE", help="Recorded verdicts, JSONL.")
    ] = None,
    verdict_column: Annotated[
        str | None,
        typer.Option("--verdict-column", metavar="COL", help="The verdicts lie in this column."),
    ] = None,
    gold_columns: Annotated[
        str | None,
        typer.Option("--gold-columns", metavar="A,B,C", help="People's verdicts: their majority."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--map", metavar="a=COL,b=COL,...", help="Which column is what."),
    ] = None,
    teacher_column: Annotated[
        str | None,
        typer.Option("--teacher-column", metavar="COL", help="A teacher's verdicts, as a line."),
    ] = None,
    slice_columns: Annotated[
        str | None, typer.Option("--slices", metavar="A,B", help="Columns to report apart.")
    ] = None,
    to_review: Annotated[
        Path | None,
        typer.Option("--to-review", metavar="FILE", help="Write the disagreements here."),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option("--fail-under", metavar="k=v,...", help="Exit with 1 under these figures."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
) -> None:
    """Measure a judge, or recorded verdicts, against people."""
    from distill.judge.passport import judge_passport
    from distill.report.judge_text import passport_text
    from distill.run import judge_eval as work

    output: Output = context.obj
    given = [name for name in (judge, verdicts, verdict_column) if name is not None]
    if len(given) > 1:
        problem = Problem(
            "more than one of --judge, --verdicts and --verdict-column", fix="Give one."
        )
        raise UsageError(str(problem), [problem])
    limits = work.read_limits(fail_under or [], "--fail-under")
    rows = work.load_data(
        data, work.read_pairs(columns, "--map"), _names(gold_columns), _names(slice_columns)
    )
    cost = None
    if judge is not None:
        from distill.run.judges import ask_judge

        with output.progress() as listen:
            found, cost = ask_judge(judge, rows, listen)
    else:
        found = work.recorded(data, rows, verdicts, verdict_column)
    passport = judge_passport(rows, found, teacher=teacher_column, cost=cost, seed=seed)
    lines = [passport_text(passport.as_dict())]
    if to_review is not None:
        lines.append(f"{work.write_disagreements(passport, to_review)} rows in {to_review}")
    missed = work.missed_limits(passport, limits)
    output.gated(passport.as_dict(), "\n".join(lines), missed)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
