"""The command that debugs any dataset: inspect."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from distill.cli.output import Output
from distill.errors import Problem, UsageError

SHOWN_FIXES = 10
SHOWN_IDS = 5


class LevelName(StrEnum):
    """What differences between ratings mean."""

    nominal = "nominal"
    ordinal = "ordinal"
    interval = "interval"


DatasetArg = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        help="A .jsonl, .json, .csv, .tsv, .txt or .parquet file, or a folder of train, val and "
        "test files.",
    ),
]


def _option(flag: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(flag, metavar=metavar, help=help)


OutOption = Annotated[
    Path | None, _option("--out", "Where the page goes (default: DATASET.inspect.html).", "FILE")
]
GoldOption = Annotated[
    Path | None, _option("--gold", "Rows that must not stand in the dataset.", "FILE")
]
ReferenceOption = Annotated[
    Path | None, _option("--reference", "Rows that the dataset should look like.", "FILE")
]
MapOption = Annotated[
    list[str] | None,
    _option("--map", "What columns are, where the guess errs.", "input=COL,output=COL"),
]
ColumnsOption = Annotated[str | None, _option("--columns", "Names for headerless files.", "A,B,C")]
AnnotatorsOption = Annotated[str | None, _option("--annotators", "One column per rater.", "A,B,C")]
UnitOption = Annotated[str | None, _option("--unit", "One line per rating: of what.", "COL,COL")]
RaterOption = Annotated[str | None, _option("--rater", "One line per rating: by whom.", "COL")]
LabelOption = Annotated[str | None, _option("--label", "One line per rating: the rating.", "COL")]
VotesOption = Annotated[str | None, _option("--votes", "A column of label -> count.", "COL")]
MissingOption = Annotated[
    str | None, _option("--missing", "Texts that stand for no rating.", "NULL,...")
]
LevelOption = Annotated[
    LevelName, typer.Option("--level", help="What differences between ratings mean.")
]
TokenizerOption = Annotated[
    str | None, _option("--tokenizer", "The student's, for unknown tokens.", "DIR")
]
EmbeddingsOption = Annotated[
    str | None, _option("--embeddings", "A model2vec model, for distances.", "DIR")
]
RecipeOption = Annotated[
    str | None, _option("--recipe", "Takes columns, gold, pool and tokenizer from it.", "RECIPE")
]
UnderOption = Annotated[
    list[str] | None, _option("--fail-under", "Exit 1 below, e.g. agreement=0.6.", "k=v")
]
OverOption = Annotated[
    list[str] | None, _option("--fail-over", "Exit 1 above, e.g. leakage=0.", "k=v")
]


def register(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command("inspect")(inspect)


def inspect(
    context: typer.Context,
    dataset: DatasetArg,
    out: OutOption = None,
    gold: GoldOption = None,
    reference: ReferenceOption = None,
    map_: MapOption = None,
    columns: ColumnsOption = None,
    annotators: AnnotatorsOption = None,
    unit: UnitOption = None,
    rater: RaterOption = None,
    label: LabelOption = None,
    votes: VotesOption = None,
    missing: MissingOption = None,
    level: LevelOption = LevelName.nominal,
    tokenizer: TokenizerOption = None,
    embeddings: EmbeddingsOption = None,
    recipe: RecipeOption = None,
    fail_under: UnderOption = None,
    fail_over: OverOption = None,
) -> None:
    """Debug any dataset: what is in it, what is wrong with it, what to fix first."""
    from distill.inspect.gates import parse_gates
    from distill.inspect.inspect import Options
    from distill.inspect.ratings import MISSING, Layout
    from distill.run.inspect_dataset import Request, inspect_dataset

    output: Output = context.obj
    layout = Layout(
        unit=tuple(_names(unit)),
        rater=rater,
        label=label,
        votes=votes,
        missing=MISSING if missing is None else frozenset({"", *_names(missing)}),
    )
    options = Options(
        map=_pairs(map_ or ()),
        annotators=tuple(_names(annotators)) or None,
        layout=layout,
        level=level.value,
        tokenizer=tokenizer,
    )
    page = out
    if page is None and not output.as_json:
        page = Path(f"{dataset.name or 'dataset'}.inspect.html")
    request = Request(
        dataset=dataset,
        out=page,
        gold=gold,
        reference=reference,
        columns=tuple(_names(columns)) or None,
        recipe=recipe,
        embeddings=embeddings,
        options=options,
        under=parse_gates(fail_under or (), "--fail-under"),
        over=parse_gates(fail_over or (), "--fail-over"),
    )
    with output.progress() as listen:
        report = inspect_dataset(request, listen)
    _finish(output, report)


def _finish(output: Output, report: Mapping[str, Any]) -> None:
    """Prints the report; a missed gate is exit code 1, the report is printed all the same."""
    from distill.inspect.gates import gate_text

    missed = [gate for gate in report["gates"] if not gate["passed"]]
    if not missed:
        output.result(report, _summary(report))
        return
    problems = [Problem(gate_text(gate), key=gate["name"]) for gate in missed]
    if output.as_json:
        message = "; ".join(problem.found for problem in problems)
        error = {
            "kind": "gate",
            "message": message,
            "problems": [problem.as_dict() for problem in problems],
        }
        output.result({**report, "error": error})
    else:
        output.text(_summary(report))
        output.problems("gate", "", problems)
    raise typer.Exit(1)


def _names(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for part in (part for text in texts for part in _names(text)):
        key, mark, column = part.partition("=")
        if not (mark and key.strip() and column.strip()):
            problem = Problem(
                f"--map {part!r} is not part=COLUMN", allowed="input=text,output=label"
            )
            raise UsageError(str(problem), [problem])
        found[key.strip()] = column.strip()
    return found


def _summary(report: Mapping[str, Any]) -> str:
    """The findings as a few lines."""
    splits = ", ".join(f"{name} {count:,}" for name, count in report["splits"].items())
    mapping = report["mapping"]
    parts = ("input", "output", "messages", "chosen", "rejected")
    shown = [f"{key} {mapping[key]}" for key in parts if mapping[key]]
    lines = [
        f"{report['rows']:,} rows ({splits}), {mapping['shape']}: {', '.join(shown) or 'no text'}"
    ]
    if report["duplicates"]:
        found = report["duplicates"]
        lines.append(f"duplicates: {found['exact']:,} exact, {found['near']:,} near")
    for pair, leak in report["leakage"].items():
        one, other = pair.split("|")
        lines.append(f"leakage: {len(leak['rows']):,} rows of {one} stand in {other}")
    for field, found in report["agreement"].items():
        lines.append(f"agreement on {field}: {_figure('alpha', found['alpha'])}, "
                     f"{_figure('Fleiss', found['fleiss'])}, {found['units']:,} units")  # fmt: skip
    lines += [f"note: {note}" for note in report["notes"]]
    if report["fix_first"]:
        lines.append("fix first:")
    for fix in report["fix_first"][:SHOWN_FIXES]:
        ids = ", ".join(fix["rows"][:SHOWN_IDS])
        more = ", ..." if len(fix["rows"]) > SHOWN_IDS else ""
        lines.append(f"  {fix['count']:>7,}  {fix['what']}" + (f"  [{ids}{more}]" if ids else ""))
    if report["page"]:
        lines.append(f"page: {report['page']}")
    return "\n".join(lines)


def _figure(name: str, figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return f"{name} undefined ({figure['why']})"
    if figure.get("low") is None:
        return f"{name} {figure['value']:.3f}"
    return f"{name} {figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
