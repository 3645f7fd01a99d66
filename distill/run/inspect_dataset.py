"""`distill inspect`: reads the files, hands the parts their functions, writes the page."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.filters.filter import Context as FilterContext
from distill.filters.refusal import Refusal
from distill.inspect.gates import check_gates
from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.ratings import Layout
from distill.inspect.sources import Item, read_dataset, reading_notes
from distill.progress import Listener, silent
from distill.recipe.filtering import RefusalFilter
from distill.recipe.task import GenerateTask
from distill.rows.atomic import atomic_file
from distill.run.engine import Engine
from distill.run.engines import engine_of

EXTRA = ("numpy", "scipy", "sklearn", "statsmodels")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked."""

    dataset: Path
    out: Path | None = None
    gold: Path | None = None
    reference: Path | None = None
    columns: tuple[str, ...] | None = None
    recipe: str | None = None
    embeddings: str | None = None
    options: Options = field(default_factory=Options)
    under: Mapping[str, float] = field(default_factory=dict)
    over: Mapping[str, float] = field(default_factory=dict)


def inspect_dataset(request: Request, listen: Listener = silent) -> dict[str, Any]:
    """The report, with `gates` and, where a page was written, `page`.

    Raises: DataError, UsageError, PrerequisiteError (with the line to type).
    """
    require_packages()
    if request.recipe is not None:
        request = with_recipe(request)
    items = read_dataset(request.dataset, request.columns)
    gold = _other(request.gold, request)
    reference = _other(request.reference, request)
    with closing(_engine(request)) as engine:
        report = inspect_rows(
            items,
            request.options,
            gold=gold,
            reference=reference,
            refusal=_refusal(),
            embed=_embedder(request.embeddings) if request.embeddings else None,
            listen=listen,
            place=engine.workplace(),
        )
    report = {"dataset": str(request.dataset), **report}
    report["notes"] += reading_notes(request.dataset, items, request.columns)
    report["gates"] = check_gates(report, request.under, request.over)
    report["page"] = None
    if request.out is not None:
        from distill.report.inspect_page import render_inspection

        page = render_inspection(report, {item.id: dict(item.fields) for item in items})
        with atomic_file(request.out) as file:
            file.write(page)
        report["page"] = str(request.out)
    return report


def _engine(request: Request) -> Engine:
    """That of the recipe, where one was named."""
    if request.recipe is None:
        return Engine()
    from distill.recipe.load import load_recipe

    return engine_of(load_recipe(request.recipe, ()))


def require_packages() -> None:
    """Raises PrerequisiteError where the extra `evaluate` is not there."""
    from importlib.util import find_spec

    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        problem = Problem(
            f"inspect needs packages that are not installed: {', '.join(missing)}",
            fix="Type: pip install 'distill-kit[evaluate]'",
        )
        raise PrerequisiteError(str(problem), [problem])


def with_recipe(request: Request) -> Request:
    """What a recipe says of its dataset, where the command does not say it.

    Its task's input and output, its gold, its pool as the reference, its student's tokenizer.
    """
    from dataclasses import replace

    from distill.recipe.files import locate
    from distill.recipe.load import load_recipe

    assert request.recipe is not None
    recipe = load_recipe(request.recipe, ())
    mapping: dict[str, str] = {"input": recipe.task.input}
    if output := getattr(recipe.task, "output", None):
        mapping["output"] = output
    # A dataset may hold messages only, or other names than the recipe's fields.
    items = read_dataset(request.dataset, request.columns)
    names = {name for item in items for name in item.fields}
    mapping = {key: name for key, name in mapping.items() if name in names}
    options = replace(request.options, map={**mapping, **request.options.map})
    student = recipe.student.model if recipe.student else None
    if student and options.tokenizer is None:
        folder = Path(recipe._source).parent / student
        if (folder / "tokenizer.json").is_file():
            options = replace(options, tokenizer=str(folder))
    data = recipe.data
    return replace(
        request,
        options=options,
        gold=request.gold or (locate(recipe, data.gold) if data.gold else None),
        reference=request.reference or (locate(recipe, data.pool) if data.pool else None),
    )


def _other(path: Path | None, request: Request) -> list[Item] | None:
    """The rows of a gold or reference file; headerless ones may have fewer columns."""
    if path is None:
        return None
    columns = request.columns
    if columns is not None and path.suffix.lower() in (".txt", ".tsv", ".csv"):
        columns = _fitting(path, columns, request.options.layout)
    return read_dataset(path, columns)


def _fitting(path: Path, columns: Sequence[str], layout: Layout) -> tuple[str, ...] | None:
    """Names for a file beside the dataset: the same, those of unit and label, or its own header."""
    from distill.rows.readers import read_utf8

    mark = "," if path.suffix.lower() == ".csv" else "\t"
    first = read_utf8(path).lstrip("\n").split("\n", 1)[0].rstrip("\r").split(mark)
    if [part.strip() for part in first] == list(columns):
        return None
    if len(first) == len(columns):
        return tuple(columns)
    short = (*layout.unit, layout.label) if layout.label else ()
    if len(first) == len(short):
        return tuple(str(name) for name in short)
    return tuple(f"column{place}" for place in range(1, len(first) + 1))


def _refusal() -> Callable[[str], str | None]:
    # The filter asks for a task; which one does not matter to its patterns.
    task = GenerateTask(kind="generate", input="input", output="output")
    return Refusal(RefusalFilter(), FilterContext(task=task, written=("output",))).reason


def _embedder(source: str) -> Callable[[Sequence[str]], Any]:
    from distill.measure.embeddings import Embedder

    return Embedder(source)
