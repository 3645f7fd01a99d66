"""Values drawn for a row, each (row, field) from its own random stream.

So adding a field, or asking for more rows, does not reshuffle the others.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from distill.generate.sources import Example, Sources, read_values
from distill.generate.steps import wrong
from distill.recipe.generation import OWN_SOURCES, Generate, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.task import labels_of
from distill.rows.row import Row, digest


class Sampler:
    """Draws the values of the sampled fields of one run."""

    def __init__(self, recipe: Recipe, sources: Sources) -> None:
        self._recipe = recipe
        self._sources = sources
        fields = (recipe.generate or Generate()).fields
        self._specs = {name: spec for name, spec in fields.items() if isinstance(spec, SampleField)}
        self._grown: list[Example] = []
        self._values = {
            name: self._read(name, spec)
            for name, spec in self._specs.items()
            if not isinstance(spec.sample, str)
            or spec.sample not in OWN_SOURCES
            or spec.sample == "labels"
        }
        self._examples = {
            name: self._read_examples(name, spec)
            for name, spec in self._specs.items()
            if name not in self._values
        }
        self._turns: dict[tuple[str, int, int], list[int]] = {}

    @property
    def grows(self) -> bool:
        """Whether later rows are drawn from accepted ones."""
        return any(spec.sample == "accepted" for spec in self._specs.values())

    def values_of(self, name: str) -> Sequence[Any] | None:
        """The values that a field is drawn from, where they are known and alike for every row."""
        spec = self._specs.get(name)
        if spec is None or name not in self._values or spec.by or spec.each or spec.count:
            return None
        return _as_list(self._values[name])

    def grow(self, rows: Sequence[Row]) -> None:
        """Adds accepted rows to what `accepted` draws from."""
        if not self.grows:
            return
        # Seed columns, input and output only: a row that held whole earlier rows would hold theirs.
        names = {name for seed in self._sources.seeds for name in seed.value}
        names |= {self._recipe.task.input, self._recipe.task.output}
        for row in rows:
            value = {name: row.fields[name] for name in row.fields if name in names}
            lineage = tuple(
                (name, row.fields[f"{name}_id"])
                for name in self._specs
                if f"{name}_id" in row.fields
            )
            self._grown.append(Example(value, lineage, row.id))

    def draw(
        self, row_id: str, name: str, values: Mapping[str, Any], ordinal: int = 0
    ) -> dict[str, Any]:
        """Returns the field's value, with FIELD_id where it is one seed, row or passage.

        Args:
            row_id: Of the row that the value is for.
            name: Of the field.
            values: The row so far.
            ordinal: How many candidates were proposed before.
        """
        spec = self._specs[name]
        stream = random.Random(int(digest([row_id, name]), 16))
        if name in self._examples:
            return self._draw_example(name, spec, values, stream, ordinal)
        if spec.each:
            groups = self._values[name].items()
            return {name: {key: stream.choice(_as_list(entry)) for key, entry in groups}}
        source = self._entries(name, spec, values)
        if spec.in_turn:
            return {name: source[self._turn(name, len(source), ordinal)]}
        if spec.count is None:
            return {name: stream.choice(source)}
        if spec.count > len(source):
            raise self._wrong(name, f"{spec.count} different values wanted, {len(source)} there")
        return {name: stream.sample(source, spec.count)}

    def _draw_example(
        self,
        name: str,
        spec: SampleField,
        values: Mapping[str, Any],
        stream: random.Random,
        ordinal: int,
    ) -> dict[str, Any]:
        examples = self._examples[name]
        if spec.sample == "accepted":
            examples = [*examples, *self._grown]
        if spec.other_than is not None:
            chosen = _others(examples, spec, values, stream)
            return {name: [example.value for example in chosen]}
        if spec.count is not None:
            chosen = stream.sample(examples, min(spec.count, len(examples)))
            return {name: [example.value for example in chosen]}
        if spec.in_turn:
            example = examples[self._turn(name, len(examples), ordinal)]
        else:
            example = stream.choice(examples)
        return {name: example.value, f"{name}_id": dict(example.lineage).get(name, example.id)}

    def _turn(self, name: str, count: int, ordinal: int) -> int:
        """Which of `count` values comes in this turn: each once before any comes again."""
        lap, place = divmod(ordinal, count)
        key = (name, count, lap)
        if key not in self._turns:
            order = list(range(count))
            seed = int(digest([self._recipe.seed, "in_turn", *key]), 16)
            random.Random(seed).shuffle(order)
            self._turns = {kept: v for kept, v in self._turns.items() if kept[0] != name}
            self._turns[key] = order
        return self._turns[key][place]

    def _entries(self, name: str, spec: SampleField, values: Mapping[str, Any]) -> Sequence[Any]:
        source = self._values[name]
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
            source = read_values(self._recipe, spec.sample)
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

    def _read_examples(self, name: str, spec: SampleField) -> Sequence[Example]:
        if spec.sample == "pool":
            return self._sources.pool_examples
        if spec.sample == "failures":
            return self._sources.failures(spec.run or "")
        if spec.sample == "documents":
            passages = self._sources.passages(spec.chunk)
            return [Example(part.as_dict(), id=part.document) for part in passages]
        return self._sources.seeds

    def _wrong(self, name: str, found: str, **more: str | None) -> Exception:
        return wrong(self._recipe, f"generate.fields.{name}.sample", found, **more)


def _others(
    examples: Sequence[Example], spec: SampleField, values: Mapping[str, Any], stream: random.Random
) -> list[Example]:
    """Examples of other documents than a field's; of the same one where others are too few."""
    wanted, taken = spec.count or 1, values.get(spec.other_than or "")
    document = values.get(f"{spec.other_than}_id")
    chosen: dict[int, Example] = {}
    # Most documents are others, so looking through all of them for each row would be waste.
    for _ in range(20 * wanted):
        at = stream.randrange(len(examples))
        if examples[at].id != document:
            chosen[at] = examples[at]
        if len(chosen) == wanted:
            return list(chosen.values())
    others = [example for example in examples if example.id != document]
    if len(others) < wanted:
        others = [example for example in examples if example.value != taken]
    return stream.sample(others, min(wanted, len(others)))


def _as_list(entry: Any) -> Sequence[Any]:
    return entry if isinstance(entry, list) else [entry]
