"""Values drawn for a row, each (row, field) from its own random stream.

So adding a field, or asking for more rows, does not reshuffle the others.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import DataError, Problem
from distill.generate.steps import labels_of, wrong
from distill.recipe.files import locate
from distill.recipe.generation import Generate, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.yaml_file import read_yaml
from distill.rows.readers import read_records, read_texts
from distill.rows.row import Row, digest


@dataclass(frozen=True, slots=True)
class Example:
    """A seed, or an accepted row cut to a seed's columns."""

    value: Mapping[str, Any]
    lineage: tuple[tuple[str, str], ...] = ()
    """Sampled field -> id of the seed that an accepted row grew from."""
    id: str = ""


class Sampler:
    """Draws the values of the sampled fields of one run; reads each file once."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        fields = (recipe.generate or Generate()).fields
        self._specs = {name: spec for name, spec in fields.items() if isinstance(spec, SampleField)}
        wanted = {spec.sample for spec in self._specs.values() if isinstance(spec.sample, str)}
        self._seeds = self._read_seeds() if wanted & {"seeds", "accepted"} else []
        self._grown: list[Example] = []
        self._sources = {
            name: self._read(name, spec)
            for name, spec in self._specs.items()
            if spec.sample not in ("seeds", "accepted")
        }

    @property
    def grows(self) -> bool:
        """Whether later rows are drawn from accepted ones."""
        return any(spec.sample == "accepted" for spec in self._specs.values())

    def grow(self, rows: Sequence[Row]) -> None:
        """Adds accepted rows to what `accepted` draws from."""
        if not self.grows:
            return
        # Seed columns, input and output only: a row that held whole earlier rows would hold theirs.
        names = {name for seed in self._seeds for name in seed.value}
        names |= {self._recipe.task.input, self._recipe.task.output}
        for row in rows:
            value = {name: row.fields[name] for name in row.fields if name in names}
            lineage = tuple(
                (name, row.fields[f"{name}_id"])
                for name in self._specs
                if f"{name}_id" in row.fields
            )
            self._grown.append(Example(value, lineage, row.id))

    def draw(self, row_id: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the field's value, with FIELD_id where it is one seed (or a row grown from one).

        Args:
            row_id: Of the row that the value is for.
            name: Of the field.
            values: The row so far.
        """
        spec = self._specs[name]
        stream = random.Random(int(digest([row_id, name]), 16))
        if spec.sample in ("seeds", "accepted"):
            examples = [*self._seeds, *(self._grown if spec.sample == "accepted" else [])]
            if spec.count is not None:
                chosen = stream.sample(examples, min(spec.count, len(examples)))
                return {name: [example.value for example in chosen]}
            example = stream.choice(examples)
            return {name: example.value, f"{name}_id": dict(example.lineage).get(name, example.id)}
        if spec.each:
            groups = self._sources[name].items()
            return {name: {key: stream.choice(_as_list(entry)) for key, entry in groups}}
        source = self._entries(name, spec, values)
        if spec.count is None:
            return {name: stream.choice(source)}
        if spec.count > len(source):
            raise self._wrong(name, f"{spec.count} different values wanted, {len(source)} there")
        return {name: stream.sample(source, spec.count)}

    def _entries(self, name: str, spec: SampleField, values: Mapping[str, Any]) -> Sequence[Any]:
        source = self._sources[name]
        if spec.by is None:
            return _as_list(source)
        if spec.by not in values:
            raise self._wrong(
                name, f"`by: {spec.by}` names neither a sampled field nor a pool column"
            )
        entry = source.get(str(values[spec.by]))
        if not entry:
            allowed = ", ".join(map(str, source))
            raise self._wrong(
                name, f"no entry for {spec.by} = {values[spec.by]!r}", allowed=allowed
            )
        return _as_list(entry)

    def _read(self, name: str, spec: SampleField) -> Any:
        if isinstance(spec.sample, list):
            source: Any = spec.sample
        elif spec.sample == "labels":
            source = labels_of(self._recipe.task)
        else:
            source = _read_file(self._recipe, spec.sample)
        if not source:
            raise self._wrong(name, f"nothing to draw from: {spec.sample!r} is empty")
        needs_mapping = spec.by is not None or spec.each
        if isinstance(source, Mapping) != needs_mapping:
            raise self._wrong(
                name,
                "`by` or `each` with something that is not a mapping"
                if needs_mapping
                else "a mapping without `by` or `each`",
                fix="`by` names the field whose value picks the entry; `each` draws from all.",
            )
        return source

    def _read_seeds(self) -> list[Example]:
        seeds = self._recipe.data.seeds
        if seeds is None:
            raise wrong(
                self._recipe, "data.seeds", "a field draws from the seeds, and there are none",
                fix="Set data.seeds to a file with a few good examples.",
            )  # fmt: skip
        records = read_records(locate(self._recipe, seeds))
        return [Example(record, id=digest(record)[:16]) for record in records]

    def _wrong(self, name: str, found: str, **more: str | None) -> Exception:
        return wrong(self._recipe, f"generate.fields.{name}.sample", found, **more)


def _read_file(recipe: Recipe, ref: str) -> Any:
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
    records = read_records(path)
    if all(len(record) == 1 for record in records):
        return [next(iter(record.values())) for record in records]
    return records


def _as_list(entry: Any) -> Sequence[Any]:
    return entry if isinstance(entry, list) else [entry]
