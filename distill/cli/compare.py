"""The command that holds runs side by side: compare."""

from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.errors import Problem, UsageError


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("compare")(compare)


def compare(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more.")],
) -> None:
    """Hold runs side by side: figures with paired tests, cost, seconds, trainable share."""
    from distill.report.text import comparison_table
    from distill.run.compare import compare_runs

    output: Output = context.obj
    if len(runs) < 2:
        problem = Problem("one run cannot be compared", fix="Name two or more.")
        raise UsageError(str(problem), [problem])
    found = compare_runs(runs)
    measured = {run["name"]: run["metrics"] for run in found["runs"] if run["metrics"]}
    lines = [comparison_table({"metrics": measured, "metrics_on": None}), ""]
    lines += [_costs(run) for run in found["runs"]]
    lines += [line for run in found["runs"] for line in _forgetting(run)]
    lines += [_test(test) for test in found["tests"]]
    output.result(found, "\n".join(lines))


def _costs(run: dict[str, Any]) -> str:
    usd = (run["cost"] or {}).get("usd")
    share = run["trainable_share"]
    parts = [
        f"{run['seconds']:,.0f} s",
        "no known price" if usd is None else f"{usd:.4f} USD",
        "nothing trained" if share is None else f"{share:.1%} of the weights trained",
        f"verdict: {run['verdict']['say']}" if run["verdict"] else "no verdict",
    ]
    return f"{run['name']}: {', '.join(parts)}"


def _forgetting(run: dict[str, Any]) -> list[str]:
    from distill.report.measured import forgetting_lines

    return [
        f"{run['name']}: {line['name']} ({line['metric']}): {line['before']} before, "
        f"{line['after']} after, difference {line['difference']}"
        for line in forgetting_lines(run["forgetting"])
        if not line["inside"]
    ]


def _test(test: dict[str, Any]) -> str:
    names = f"{test['b']} - {test['a']} on {test['set']}"
    difference = test["difference"]
    if difference["value"] is None:
        return f"{names}: {difference['why']}"
    p = "no row differs" if test["p"] is None else f"p = {test['p']:.3g} ({test['test']})"
    return (
        f"{names}: {difference['value']:+.3f} [{difference['low']:+.3f}, "
        f"{difference['high']:+.3f}], {p}, {test['n']} rows"
    )
