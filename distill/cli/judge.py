"""Commands around judges: grade, compare, serve, eval."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.output import Output
from distill.errors import Problem, UsageError


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    group = typer.Typer(help="Grade and compare answers, and measure judges against people.")
    group.command("grade")(grade)
    group.command("compare")(compare)
    group.command("serve")(serve)
    group.command("eval")(evaluate)
    app.add_typer(group, name="judge")


JudgeArg = Annotated[str, typer.Argument(metavar="JUDGE", help="An exported judge, or a run.")]
FileArg = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Rows; absent: one row by the options.")
]
ToOption = Annotated[
    Path | None, typer.Option("--to", metavar="OUT.jsonl", help="Where a file's results go.")
]
Instruction = Annotated[str | None, typer.Option("--instruction", metavar="TEXT")]
Rubric = Annotated[
    str | None, typer.Option("--rubric", metavar="NAME|FILE.md|TEXT", help="What to judge by.")
]
Reference = Annotated[str | None, typer.Option("--reference", metavar="TEXT")]
Force = Annotated[
    bool, typer.Option("--force", help="Take a prompt that the weights were not trained with.")
]

TeacherOption = Annotated[
    str | None,
    typer.Option("--teacher-column", metavar="COL", help="A teacher's verdicts, as a line."),
]
SwappedOption = Annotated[
    Path | None,
    typer.Option("--verdicts-ba", metavar="FILE", help="Verdicts with the second answer first."),
]
GoldOption = Annotated[
    str | None,
    typer.Option("--gold-columns", metavar="A,B,C", help="People's verdicts: their majority."),
]
MapOption = Annotated[
    str | None,
    typer.Option("--map", metavar="a=COL,b=COL,...", help="Which column, or path in it, is what."),
]
LabelsOption = Annotated[
    str | None,
    typer.Option("--labels", metavar="WORD=a,...", help="What this file calls a, b and tie."),
]
SlicesOption = Annotated[
    str | None, typer.Option("--slices", metavar="A,B", help="Columns to report apart.")
]
ToReviewOption = Annotated[
    Path | None, typer.Option("--to-review", metavar="FILE", help="Write the disagreements here.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="report.html", help="Write the page here.")
]
FailUnderOption = Annotated[
    list[str] | None,
    typer.Option("--fail-under", metavar="k=v,...", help="Exit with 1 under these figures."),
]
PreviousOption = Annotated[
    Path | None,
    typer.Option("--previous", metavar="FILE", help="A previous judge's verdicts."),
]
PassAtOption = Annotated[
    float | None, typer.Option("--pass-at", metavar="SCORE", help="The least score that passes.")
]
TeacherCostOption = Annotated[
    float | None,
    typer.Option("--teacher-cost", metavar="USD", help="The teacher's per 1,000 rows."),
]
AllRowsOption = Annotated[
    bool, typer.Option("--all-rows", help="Ask about rows without gold too, for the pass rate.")
]
ProbeOption = Annotated[
    int,
    typer.Option("--probe", min=0, metavar="N", help="Change answers of N rows, and ask again."),
]


def grade(
    context: typer.Context,
    judge: JudgeArg,
    file: FileArg = None,
    to: ToOption = None,
    instruction: Instruction = None,
    response: Annotated[str | None, typer.Option("--response", metavar="TEXT")] = None,
    rubric: Rubric = None,
    reference: Reference = None,
    force: Force = False,
) -> None:
    """Score one answer, or every row {instruction, response, rubric?, reference?} of a file."""
    row = {"instruction": instruction, "response": response}
    _judge(context.obj, judge, file, to, row, rubric, reference, force=force)


def compare(
    context: typer.Context,
    judge: JudgeArg,
    file: FileArg = None,
    to: ToOption = None,
    instruction: Instruction = None,
    a: Annotated[str | None, typer.Option("--a", metavar="TEXT")] = None,
    b: Annotated[str | None, typer.Option("--b", metavar="TEXT")] = None,
    rubric: Rubric = None,
    reference: Reference = None,
    swap: Annotated[bool, typer.Option(help="Ask in both orders.")] = True,
    force: Force = False,
) -> None:
    """Say which of two answers is better, or that for every row of a file."""
    row = {"instruction": instruction, "a": a, "b": b}
    _judge(context.obj, judge, file, to, row, rubric, reference, swap=swap, force=force)


def serve(
    context: typer.Context,
    judge: JudgeArg,
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 8790,
    host: Annotated[str, typer.Option("--host", help="127.0.0.1 or ::1.")] = "127.0.0.1",
    token_env: Annotated[
        str | None,
        typer.Option("--token-env", metavar="NAME", help="Variable that holds the token."),
    ] = None,
) -> None:
    """Serve a judge on this machine: /grade, /compare and the OpenAI chat shape."""
    import asyncio

    from distill.run.judge.judges import serve_judge, serving_token

    output: Output = context.obj
    token = serving_token(token_env)

    def tell(url: str) -> None:
        shown = f"the value of ${token_env}" if token_env else token
        output.result({"url": url, "token": None if token_env else token}, f"{url}  token: {shown}")

    asyncio.run(serve_judge(judge, host, port, token, tell))


def _judge(
    output: Output,
    ref: str,
    file: Path | None,
    to: Path | None,
    row: dict[str, str | None],
    rubric: str | None,
    reference: str | None,
    *,
    swap: bool = True,
    force: bool = False,
) -> None:
    from dataclasses import asdict

    from distill.run.judge.judges import judge_file, load_judge, one_row

    judge = load_judge(ref, force=force)
    judge.require(pairwise="a" in row)
    try:
        if file is None:
            found = one_row(judge, row, rubric, reference, swap=swap)
            verdict = getattr(found, "winner", None) or getattr(found, "score", None)
            output.result(asdict(found), f"{verdict}\n{found.feedback}".strip())
            return
        if to is None:
            problem = Problem("a file needs --to", fix="Add --to OUT.jsonl")
            raise UsageError(str(problem), [problem])
        with output.progress() as listen:
            rows = judge_file(judge, file, to, swap=swap, listen=listen)
        output.result({"rows": rows, "to": str(to)}, f"{rows} rows in {to}")
    finally:
        judge.close()


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
        Path | None, typer.Option("--verdicts", metavar="FILE", help="Recorded verdicts.")
    ] = None,
    verdicts_ba: SwappedOption = None,
    verdict_column: Annotated[
        str | None,
        typer.Option("--verdict-column", metavar="COL", help="The verdicts lie in this column."),
    ] = None,
    gold_columns: GoldOption = None,
    columns: MapOption = None,
    labels: LabelsOption = None,
    teacher_column: TeacherOption = None,
    slice_columns: SlicesOption = None,
    to_review: ToReviewOption = None,
    out: OutOption = None,
    fail_under: FailUnderOption = None,
    previous: PreviousOption = None,
    pass_at: PassAtOption = None,
    teacher_cost: TeacherCostOption = None,
    all_rows: AllRowsOption = False,
    probe: ProbeOption = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
) -> None:
    """Measure a judge, or recorded verdicts, against people."""
    from distill.judge.passport import judge_passport
    from distill.report.judge_text import passport_text
    from distill.run.judge import evaluate as work
    from distill.run.judge.extras import with_comparisons, with_probes

    output: Output = context.obj
    mapping = work.read_pairs(columns, "--map")
    _require_one(judge, verdicts or verdicts_ba, verdict_column, work.verdict_roles(mapping), probe)
    limits = work.read_limits(fail_under or [], "--fail-under")
    rows = work.load_data(
        data, mapping, _names(gold_columns), _names(slice_columns),
        work.read_pairs(labels, "--labels"),
    )  # fmt: skip
    cost = None
    if judge is None:
        rows, found = work.recorded(
            data, rows, mapping, file=verdicts, swapped=verdicts_ba, column=verdict_column
        )
    else:
        from distill.run.judge.judges import ask_judge

        with output.progress() as listen:
            found, cost = ask_judge(judge, rows, listen, all_rows=all_rows)
    passport = judge_passport(
        rows, found, teacher=teacher_column, cost=cost, teacher_cost=teacher_cost, pass_at=pass_at,
        seed=seed,
    )  # fmt: skip
    others = work.other_verdicts(rows, teacher_column, previous)
    passport = with_comparisons(passport, rows, found, others, seed)
    with output.progress() as listen:
        passport = with_probes(passport, judge, rows, found, probe, seed, listen)
    lines = [passport_text(passport.as_dict())]
    if to_review is not None:
        lines.append(f"{work.write_disagreements(passport, to_review)} rows in {to_review}")
    if out is not None:
        work.write_page(passport, out, data.stem)
        lines.append(f"page: {out}")
    missed = work.missed_limits(passport, limits)
    output.gated(passport.as_dict(), "\n".join(lines), missed)


def _require_one(
    judge: str | None, file: Path | None, column: str | None, named: list[str], probe: int
) -> None:
    """Verdicts come from one place, and only a judge can be probed.

    Raises: UsageError.
    """
    problem = None
    if len([name for name in (judge, file, column) if name is not None]) > 1:
        problem = Problem(
            "more than one of --judge, --verdicts and --verdict-column", fix="Give one."
        )
    elif judge is not None and named:
        problem = Problem(f"--map names {named[0]} of recorded verdicts beside --judge")
    elif probe and judge is None:
        problem = Problem("--probe asks a judge, and none is given", fix="Add --judge.")
    if problem is not None:
        raise UsageError(str(problem), [problem])


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
