"""The command that uses a student: predict."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.output import Output


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("predict")(predict)


def predict(
    context: typer.Context,
    student: Annotated[
        str, typer.Argument(metavar="RUN|DIR", help="A run, or an exported student.")
    ],
    rows: Annotated[Path, typer.Argument(metavar="FILE", help="Rows to answer.")],
    to: Annotated[Path, typer.Option("--to", metavar="OUT.jsonl", help="Where the answers go.")],
) -> None:
    """Answer new rows with a student: adds answer, parsed and p to every row."""
    from distill.run.evaluate.predict import predict_file

    output: Output = context.obj
    with output.progress() as listen:
        done = predict_file(student, rows, to, listen)
    output.result(
        {"to": str(to), "rows": done.rows, "parsed": done.parsed, "already": done.already},
        f"{done.rows} rows in {to} ({done.parsed} parsed, {done.already} were there already)",
    )
