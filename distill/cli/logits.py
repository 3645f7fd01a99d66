"""Commands about teacher signals: logits capture, logits audit."""

from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.cli.recipe import RecipeArg, SetOption
from distill.cli.run import RunDirOption, YesOption, prepared

CacheArg = Annotated[
    str, typer.Argument(metavar="CACHE", help="A cache's folder, a run's folder, or a run's name.")
]


def register(app: typer.Typer) -> None:
    """Adds this file's commands."""
    group = typer.Typer(
        name="logits",
        help="Teacher signals: capture them, audit a cache.",
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    group.command("capture")(capture)
    group.command("audit")(audit)
    app.add_typer(group)


def capture(
    context: typer.Context,
    recipe: RecipeArg,
    run_dir: RunDirOption = None,
    overrides: SetOption = None,
    yes: YesOption = False,
) -> None:
    """Capture a recipe's teacher signals, after making the dataset where it is missing."""
    from distill.run.signals.logits import capture_signals

    output: Output = context.obj
    loaded, folder = prepared(recipe, overrides, run_dir, yes)
    with output.progress() as listen:
        found = capture_signals(loaded, folder, listen)
    loss = "" if found["loss"] is None else f", teacher loss {found['loss']:.4g} nats per token"
    text = (
        f"{found['rows']} rows ({found['stored']} were there), {found['positions']} positions, "
        f"{found['bytes_per_position']:.1f} bytes per position{loss}\ncache: {found['cache']}"
    )
    output.result(found, text)


def audit(
    context: typer.Context,
    cache: CacheArg,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Rows that the teacher is asked about again.")
    ] = 16,
) -> None:
    """Show what a signal cache costs in bytes and in fidelity."""
    from distill.run.signals.logits import audit_cache

    output: Output = context.obj
    found = audit_cache(cache, rows)
    output.result(found, _told(found))


def _told(found: dict[str, Any]) -> str:
    """The figures as lines for people."""
    lines = [
        f"teacher              {found['identity']['teacher']}",
        f"rows, positions      {found['rows']}, {found['positions']}",
        f"bytes per position   {found['bytes_per_position']:.1f} (dense half-precision logits: "
        f"{found['dense_bytes_per_position']})",
    ]
    if covered := found["covered"]:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in covered.items())
        lines.append(f"covered mass         {shown}")
    losses = found["teacher_loss"]
    told = [f"{name} {losses[name]:.4g}" for name in losses if losses[name] is not None]
    lines.append(f"teacher loss (nats)  {', '.join(told)}")
    if kl := found["kl"]:
        lines.append(
            f"KL(true || rebuilt)  mean {kl['mean']:.3g}, p95 {kl['p95']:.3g}, max {kl['max']:.3g}"
        )
    if again := found["rescore"]:
        lines.append(
            f"scored again         {again['rows']} rows, largest error {again['max_error']:.3g} "
            f"nats, {again['max_error_p']:.3g} in probability"
        )
    if found["contradicted"] is not None:
        lines.append(f"contradicted         {found['contradicted']:.2%} of positions")
    lines += [f"not measured         {name}: {why}" for name, why in found["why"].items()]
    return "\n".join(lines)
