"""Commands that look at a run: status, report, why; and restore."""

import json
from typing import Annotated, Any

import typer

from distill.cli.output import Output

RunArg = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, or a name under ./runs.")
]


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("status")(status)
    app.command("report")(report)
    app.command("why")(why)
    app.command("restore")(restore)


def status(context: typer.Context, run: RunArg) -> None:
    """Show which stages are done and what the run has cost."""
    from distill.run.directory import find_run
    from distill.run.look import status_of

    output: Output = context.obj
    found = status_of(find_run(run))
    lines = [f"{found['name']}  ({found['state']})"]
    for stage in found["stages"]:
        counts = stage["counts"]
        figures = f"  {counts['accepted']} of {counts['in']} rows" if counts else ""
        lines.append(f"  {stage['name']:<9} {stage['state']}{figures}")
    cost = found["cost"]
    if cost:
        usd = "no known price" if cost["usd"] is None else f"{cost['usd']:.4f} USD"
        lines.append(f"  {cost['requests']} requests, {cost['stored_answers']} stored, {usd}")
    output.result(found, "\n".join(lines))


def report(context: typer.Context, run: RunArg) -> None:
    """Print the comparison table and where the report lies."""
    from distill.report.text import comparison_table
    from distill.run.directory import find_run
    from distill.run.look import report_of

    output: Output = context.obj
    directory = find_run(run)
    found = report_of(directory)
    table = comparison_table(found) + "\n\n" if found["metrics"] else ""
    output.result(found, f"{table}report: {directory.root / 'report.html'}")


def why(
    context: typer.Context,
    run: RunArg,
    row_id: Annotated[str, typer.Argument(metavar="ROW_ID", help="Id of a row, or its beginning.")],
) -> None:
    """Tell a row's life: what it came from, what was asked, every verdict, where it ended."""
    from distill.run.directory import find_run
    from distill.run.look import biography

    output: Output = context.obj
    life = biography(find_run(run), row_id)
    output.result(life, _tell(life))


def restore(
    context: typer.Context,
    run: RunArg,
    filter: Annotated[
        str, typer.Option("--filter", metavar="NAME", help="The filter whose drops come back.")
    ],
) -> None:
    """Bring back the rows that a filter dropped; later filters still judge them."""
    from distill.run.directory import find_run
    from distill.run.rows.restore import restore as bring_back

    output: Output = context.obj
    directory = find_run(run)
    with output.progress() as listen:
        found = bring_back(directory, filter, listen)
    later = ", ".join(f"{name} {count}" for name, count in found["dropped_later"].items())
    words = f"{found['restored']} of {found['dropped']} rows dropped by {filter} are back"
    if later:
        words += f"; the others were dropped later: {later}"
    output.result({"run_dir": str(directory.root), **found}, words)


def _tell(life: dict[str, Any]) -> str:
    lines = [f"row {life['id']}: {life['end']}"]
    for name, value in life["fields"].items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"  {name}: {' '.join(shown.split())[:500]}")
    for step in life["stages"]:
        reason = f" ({step['reason']})" if step["reason"] else ""
        lines.append(f"  {step['stage']}: {step['status']}{reason}")
        for verdict in step["verdicts"]:
            score = f", score {verdict['score']:.4g}" if verdict["score"] is not None else ""
            kept = "keep" if verdict["keep"] else f"drop: {verdict['reason']}"
            lines.append(f"    {verdict['by']}: {kept}{score}")
    return "\n".join(lines)
