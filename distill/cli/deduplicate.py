"""The command for files that are too large for a recipe: deduplicate."""

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.output import Output


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("deduplicate")(deduplicate)


def deduplicate(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help=".jsonl and .parquet files, or folders of them."),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="An empty or new folder.")],
    field: Annotated[
        str, typer.Option("--field", metavar="NAME", help="What is compared.")
    ] = "text",
    similarity: Annotated[
        float,
        typer.Option("--similarity", min=0.01, max=1.0, help="Least likeness of a near-duplicate."),
    ] = 0.8,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT",
            help="A Ray cluster, or auto; absent: one of this machine, for as long as it takes.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Drop near-duplicates from files that need not fit one machine, over Ray (extra [ray])."""
    from distill.run.on_ray.cluster import Cluster
    from distill.run.on_ray.large import deduplicate as work

    output: Output = context.obj
    cluster = Cluster(address, (), str(Path.cwd()))
    try:
        with output.progress() as listen:
            found = work(cluster, files, to, field, similarity, listen=listen)
    finally:
        cluster.leave()
    output.result(
        found,
        f"{found['rows']:,} rows: {found['kept']:,} kept in {to}, {found['dropped']:,} dropped "
        f"(with their likeness in {to / 'dropped'})",
    )
