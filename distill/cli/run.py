"""Commands that walk a recipe's stages: run, generate, train, evaluate, export."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.cli.output import Output
from distill.cli.recipe import RecipeArg, SetOption
from distill.errors import Problem, UsageError

if TYPE_CHECKING:
    from distill.recipe.schema import Recipe

RunDirOption = Annotated[
    str | None,
    typer.Option("--run-dir", metavar="DIR", help="Where the run lives; default ./runs/NAME."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask about the cost.")]
ProcessesOption = Annotated[
    int | None, typer.Option("--num-processes", min=1, help="Training processes on this machine.")
]
HostfileOption = Annotated[
    str | None,
    typer.Option("--hostfile", metavar="FILE", help="DeepSpeed hostfile for several nodes."),
]


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    app.command("run")(run)
    app.command("generate")(generate)
    app.command("train")(train)
    app.command("evaluate")(evaluate)
    app.command("export")(export)


def run(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: RunDirOption = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="STAGE", help="Stop after it.")
    ] = None,
    overrides: SetOption = None,
    yes: YesOption = False,
) -> None:
    """Run a recipe from end to end; an existing run goes on where it stopped."""
    _walk(context.obj, recipe, overrides, run_dir, until, yes)


def generate(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: RunDirOption = None,
    overrides: SetOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what failed in an earlier call.")
    ] = False,
    push: Annotated[
        str | None, typer.Option("--push", metavar="REPO", help="Upload the dataset to the hub.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Make the dataset only: generate, filter, split."""
    if push is not None:
        from distill.run.export.push import check_push

        check_push(push)
    _walk(
        context.obj, recipe, overrides, run_dir, "split", yes, retry_failed=retry_failed, push=push
    )


def train(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: RunDirOption = None,
    overrides: SetOption = None,
    num_processes: ProcessesOption = None,
    hostfile: HostfileOption = None,
    yes: YesOption = False,
) -> None:
    """Train the student, after doing what is missing or stale before it."""
    if hostfile and num_processes:
        problem = Problem(
            found="--num-processes beside --hostfile",
            fix="The hostfile says how many processes each machine gets: HOST slots=N.",
        )
        raise UsageError(str(problem), [problem])
    _walk(
        context.obj,
        recipe,
        overrides,
        run_dir,
        "train",
        yes,
        processes=num_processes,
        hostfile=hostfile,
    )


def evaluate(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: RunDirOption = None,
    overrides: SetOption = None,
    yes: YesOption = False,
) -> None:
    """Measure the student, after doing what is missing or stale before it."""
    _walk(context.obj, recipe, overrides, run_dir, "evaluate", yes)


def export(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: RunDirOption = None,
    overrides: SetOption = None,
    push: Annotated[
        str | None, typer.Option("--push", metavar="REPO", help="Upload it to the hub, privately.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Write the student as a folder to ship, after doing what is missing or stale before it."""
    if push is not None:
        from distill.run.export.push import check_push

        check_push(push)  # not after days of training
    _walk(context.obj, recipe, overrides, run_dir, "export", yes, push=push)


def _walk(
    output: Output,
    ref: str,
    overrides: list[str] | None,
    run_dir: str | None,
    until: str | None,
    yes: bool,
    *,
    processes: int | None = None,
    hostfile: str | None = None,
    retry_failed: bool = False,
    push: str | None = None,
) -> None:
    from distill.run.walk import run_recipe

    recipe, folder = prepared(ref, overrides, run_dir, yes)
    with output.progress() as listen:
        report = run_recipe(
            recipe,
            run_dir=folder,
            until=until,
            listen=listen,
            processes=processes,
            hostfile=Path(hostfile) if hostfile else None,
            retry_failed=retry_failed,
        )
    if not report:
        return  # a rank that only trained; the first one speaks
    pushed = _push(folder, push, until) if push else {}
    words = "".join(f"\n\npushed: {address}" for address in pushed.values())
    output.result(
        {"run_dir": str(folder), **pushed, **report}, _closing_words(report, folder) + words
    )


def prepared(
    ref: str, overrides: list[str] | None, run_dir: str | None, yes: bool
) -> tuple["Recipe", Path]:
    """The recipe and where its run lives, after the question about the cost on a terminal."""
    from distill.recipe.load import load_recipe
    from distill.run.directory import RUNS

    recipe = load_recipe(ref, overrides or ())
    folder = Path(run_dir) if run_dir else Path(RUNS) / recipe.name
    if not yes and "RANK" not in os.environ and sys.stdin.isatty() and sys.stderr.isatty():
        _ask_about_cost(recipe, folder)
    return recipe, folder


def _push(folder: Path, repo: str, until: str | None) -> dict[str, str]:
    from distill.run.export.push import push

    if until == "split":
        return {"pushed": push(folder / "dataset", repo, "dataset")}
    return {"pushed": push(folder / "student", repo, "model")}


def _ask_about_cost(recipe: Any, folder: Path) -> None:
    from teachers.prices import price_of

    paid = [n for n, c in recipe.teachers.items() if (p := price_of(c)) and p.input + p.output > 0]
    if not paid or (folder / "lock.json").exists():
        return
    cap = (
        f"at most {recipe.budget.usd:g} USD"
        if recipe.budget.usd is not None
        else "without a USD cap"
    )
    typer.confirm(f"{recipe.name} asks {', '.join(paid)} {cap}. Go on?", abort=True, err=True)


def _closing_words(report: dict[str, Any], folder: Path) -> str:
    from distill.report.text import comparison_table

    lines = []
    if report["metrics"]:
        lines.append(comparison_table(report))
    filtered = next((entry for entry in report["rows"] if entry["stage"] == "filter"), None)
    if filtered and not filtered["accepted"]:
        dropped = ", ".join(f"{name} {count}" for name, count in filtered["reasons"].items())
        lines.append(f"no row survived the filters ({dropped or 'none was answered'})")
    if report.get("probe"):
        from distill.run.plan.probe import probe_words

        lines.append(probe_words(report["probe"]))
    if report["shortfall"]:
        short = report["shortfall"]
        lines.append(f"shortfall: {short['got']} of {short['accept']} rows. {short['why']}")
    if report["verdict"]:
        lines.append(f"{report['verdict']['say']}: {report['verdict']['because']}")
    lines.append(f"report: {folder / 'report.html'}")
    return "\n\n".join(lines)
