"""What sampled fields draw from: seeds, accepted rows, the pool, documents, failures, files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.generate.steps import wrong
from distill.recipe.files import folder_of, locate
from distill.recipe.generation import Chunk
from distill.recipe.schema import Recipe
from distill.recipe.yaml_file import read_yaml
from distill.rows.answers import read_failures
from distill.rows.documents import Document, Passage, cut, read_documents
from distill.rows.readers import read_records, read_texts
from distill.rows.row import digest

RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Example:
    """A value with what it came from."""

    value: Mapping[str, Any]
    lineage: tuple[tuple[str, str], ...] = ()
    """Sampled field -> id of the seed that an accepted row grew from."""
    id: str = ""
    """Of the seed, the pool's row, the document."""


class Sources:
    """The data files of one recipe, each read once, when it is first drawn from."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._passages: dict[Chunk, list[Passage]] = {}

    @cached_property
    def pool(self) -> list[dict[str, Any]]:
        """The records of the pool.

        Raises: RecipeError when there is none, DataError when it cannot be read.
        """
        return read_records(self._file("pool", "Set data.pool to a file of inputs."))

    @cached_property
    def seeds(self) -> list[Example]:
        """The seeds, with their own digests as ids."""
        records = read_records(self._file("seeds", "Set data.seeds to a file of good examples."))
        return [Example(record, id=_digest(record, self._recipe, "seeds", at))
                for at, record in enumerate(records)]  # fmt: skip

    @cached_property
    def pool_examples(self) -> list[Example]:
        """The pool's rows as something to draw."""
        return [Example(record, id=_digest(record, self._recipe, "pool", at))
                for at, record in enumerate(self.pool)]  # fmt: skip

    @cached_property
    def documents(self) -> list[Document]:
        """The documents."""
        fix = "Set data.documents to a folder of .txt or .md files, or to JSONL {title, text}."
        return read_documents(self._file("documents", fix))

    def passages(self, chunk: Chunk | None) -> list[Passage]:
        """The documents, cut."""
        chunk = chunk or Chunk()
        if chunk not in self._passages:
            self._passages[chunk] = [
                passage
                for document in self.documents
                for passage in cut(document, chunk.words, chunk.overlap)
            ]
        return self._passages[chunk]

    def failures(self, run: str) -> list[Example]:
        """What the student of an earlier run got wrong."""
        return [
            Example({k: v for k, v in row.items() if k != "id"}, id=str(row["id"]))
            for row in read_failures(run_folder(self._recipe, run))
        ]

    def _file(self, name: str, fix: str) -> Path:
        ref = getattr(self._recipe.data, name)
        if ref is None:
            found = f"a field draws from the {name}, and there are none"
            raise wrong(self._recipe, f"data.{name}", found, fix=fix)
        return locate(self._recipe, ref)


def run_folder(recipe: Recipe, run: str) -> Path:
    """The folder of an earlier run: relative to the recipe, to here, or a name under ./runs."""
    places = (folder_of(recipe) / run, Path(run), Path(RUNS) / run)
    return next((path for path in places if path.is_dir()), places[-1])


def read_values(recipe: Recipe, ref: str) -> Any:
    """The content of a file of values: a list, or a mapping for `by`."""
    path = locate(recipe, ref)
    if path.suffix in (".yaml", ".yml"):
        return read_yaml(path).data
    if path.suffix == ".txt":
        return read_texts(path)
    if path.suffix == ".json":
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            problem = Problem(f"not JSON in UTF-8: {error}", str(path))
            raise DataError(str(problem), [problem]) from error
    records: Sequence[Mapping[str, Any]] = read_records(path)
    if all(len(record) == 1 for record in records):
        return [next(iter(record.values())) for record in records]
    return records


def _digest(record: Mapping[str, Any], recipe: Recipe, name: str, at: int) -> str:
    try:
        return digest(record)[:16]
    except (TypeError, ValueError) as error:
        found = f"row {at + 1} holds a value that is not JSON: {error}"
        problem = Problem(found, getattr(recipe.data, name), key=f"data.{name}")
        raise DataError(str(problem), [problem]) from error
