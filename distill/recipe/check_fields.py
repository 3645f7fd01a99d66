"""Checks the fields of `generate`: every name in a template is made by an earlier step."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from distill.errors import RecipeError
from distill.recipe.built import BUILT_STRATEGIES
from distill.recipe.check_data import Tables
from distill.recipe.files import locate, names_a_file, text_of
from distill.recipe.findings import Findings
from distill.recipe.generation import AskField, FieldSpec, RenderField, SampleField
from distill.recipe.given import DOCUMENT, FIELDS, learns_given_rows, objective_of
from distill.recipe.schema import Recipe
from distill.recipe.suggest import did_you_mean
from distill.recipe.task import ClassifyTask
from distill.recipe.templates import Template
from distill.recipe.yaml_file import read_yaml


@dataclass(slots=True)
class _Known:
    """Names that a template may use so far."""

    names: dict[str, None]
    sampled: set[str]
    """Fields drawn before anybody is asked; `by` may name these and the pool's columns."""
    open: bool
    """The pool was not read: any other name may be one of its columns."""
    later: frozenset[str] = field(default=frozenset())

    def has(self, name: str) -> bool:
        return name in self.names or (self.open and name not in self.later)


def check_strategy(recipe: Recipe, findings: Findings) -> None:
    """Notes what a strategy needs and the recipe does not give."""
    generate = recipe.generate
    if generate is None:
        return
    data, strategy = recipe.data, generate.strategy
    if strategy in BUILT_STRATEGIES and generate.ask is None:
        teachers = ", ".join(recipe.teachers) or "none is defined"
        findings.add("generate.ask", f"strategy {strategy} needs a teacher", teachers)
    if generate.ask is not None:
        known_teacher(recipe, "generate.ask", generate.ask, findings)
    if strategy == "label_pool" and data.pool is None and recipe.task.input not in generate.fields:
        fix = f"Set data.pool, or make {recipe.task.input!r} in generate.fields."
        findings.add("data.pool", "label_pool has nothing to label", None, fix)
    if strategy == "self_instruct" and data.seeds is None:
        findings.add("data.seeds", "self_instruct grows from seeds, and there are none")
    if learns_given_rows(recipe):
        return
    if strategy is None and not generate.fields:
        fix = "Give generate.fields or generate.strategy."
        findings.add("generate", "nothing is generated", ", ".join(BUILT_STRATEGIES), fix)
    if generate.accept is None and (data.pool is None or strategy == "self_instruct"):
        fix = "Set generate.accept, or label a pool."
        if generate.candidates is None:
            findings.add("generate.accept", "how many rows are wanted is not said", None, fix)
    if generate.accept and generate.candidates and generate.candidates < generate.accept:
        found = f"{generate.candidates} candidates cannot give {generate.accept} accepted rows"
        findings.add("generate.candidates", found, f"at least {generate.accept}")


def check_fields(recipe: Recipe, tables: Tables, findings: Findings) -> frozenset[str] | None:
    """Notes fields that cannot be made; returns the fields of a finished row, None if unknown."""
    generate = recipe.generate
    assert generate is not None
    draws = {name for name, spec in generate.fields.items() if isinstance(spec, SampleField)}
    # Rows that grow from accepted ones do not come from the pool, even where there is one.
    grows = any(
        isinstance(spec, SampleField) and spec.sample == "accepted"
        for spec in generate.fields.values()
    )
    pooled = recipe.data.pool is not None and not grows
    columns = tables.pool.columns if tables.pool and pooled else frozenset()
    if learns_given_rows(recipe) and not pooled:
        columns = frozenset(DOCUMENT)
    # A column that a field makes anew is hidden from prompts: it may be the label asked for.
    known = _Known(
        dict.fromkeys(sorted(columns - set(generate.fields))),
        set(columns) | draws,
        pooled and tables.pool is None,
    )
    for index, (name, spec) in enumerate(generate.fields.items()):
        known.later = frozenset(list(generate.fields)[index:])
        if name in known.names:
            findings.add(f"generate.fields.{name}", f"{name!r} is written beside an earlier field")
        _field(recipe, name, spec, known, findings)
        known.names.update(dict.fromkeys([name, *_companions(name, spec)]))
    _finished(recipe, known, findings)
    return None if known.open else frozenset(known.names)


def known_teacher(recipe: Recipe, key: str, name: str, findings: Findings) -> bool:
    """Whether a teacher of this name is defined; notes it if not."""
    if name in recipe.teachers:
        return True
    allowed = ", ".join(recipe.teachers) or "none is defined"
    fix = did_you_mean(name, recipe.teachers) or f"Define teachers.{name}."
    findings.add(key, f"no teacher {name!r}", allowed, fix)
    return False


def _finished(recipe: Recipe, known: _Known, findings: Findings) -> None:
    known.later = frozenset()
    for key in ("input", "output"):
        name = getattr(recipe.task, key)
        if not known.has(name):
            fix = did_you_mean(name, known.names) or f"Make {name!r} in generate.fields."
            findings.add(f"task.{key}", f"no step makes {name!r}", ", ".join(known.names), fix)
    objective = objective_of(recipe)
    for name in FIELDS.get(objective, ()):
        if not known.has(name) and name not in (recipe.task.input, recipe.task.output):
            fix = did_you_mean(name, known.names) or f"Give every row the field {name!r}."
            found = f"{objective} learns {name!r}, which no row has"
            findings.add("train.objective", found, ", ".join(known.names) or None, fix)


def _companions(name: str, spec: FieldSpec) -> Iterable[str]:
    """Names recorded beside a field."""
    if isinstance(spec, SampleField) and spec.sample in ("seeds", "accepted") and not spec.count:
        yield f"{name}_id"
    if isinstance(spec, AskField):
        if spec.votes > 1:
            yield f"{name}_votes"
        if spec.votes > 1 or spec.choices:
            yield f"{name}_p"
        if spec.truncated == "accept":
            yield f"{name}_finish"


def _field(recipe: Recipe, name: str, spec: FieldSpec, known: _Known, findings: Findings) -> None:
    key = f"generate.fields.{name}"
    match spec:
        case SampleField():
            _sample(recipe, key, spec, known, findings)
        case RenderField():
            _template(recipe, f"{key}.render", spec.render, known, findings)
        case AskField():
            known_teacher(recipe, f"{key}.ask", spec.ask, findings)
            if spec.choices is not None:
                _choices(recipe, f"{key}.choices", spec.choices, findings)
            _template(recipe, f"{key}.prompt", spec.prompt, known, findings)
        case _:  # python fields are refused as not built
            pass


def _choices(recipe: Recipe, key: str, choices: str | list[str], findings: Findings) -> None:
    if isinstance(choices, list):
        if not choices:
            findings.add(key, "an empty list of choices")
        return
    allowed = "a list, or `labels` for the labels of a classify task"
    if choices not in ("label", "labels"):
        findings.add(key, f"unknown choices {choices!r}", allowed)
    elif not isinstance(recipe.task, ClassifyTask):
        findings.add(key, f"a {recipe.task.kind} task has no labels", allowed)


def _template(recipe: Recipe, key: str, source: str, known: _Known, findings: Findings) -> None:
    try:
        file = str(locate(recipe, source.strip())) if names_a_file(source) else key
        template = Template(text_of(recipe, source), file)
    except RecipeError as error:
        findings.add_error(key, error)
        return
    for name in sorted(template.names):
        if not known.has(name):
            what = "a later step makes" if name in known.later else "no earlier step makes"
            fix = did_you_mean(name, known.names) or "Make the field before this one."
            allowed = ", ".join(known.names) or "no name yet"
            findings.add(key, f"the template names {name!r}, which {what}", allowed, fix)


def _sample(recipe: Recipe, key: str, spec: SampleField, known: _Known, findings: Findings) -> None:
    if spec.by is not None and spec.by not in known.sampled and not known.open:
        allowed = ", ".join(sorted(known.sampled)) or "none"
        fix = did_you_mean(spec.by, known.sampled)
        found = f"{spec.by!r} is neither a sampled field nor a column of the pool"
        findings.add(f"{key}.by", found, allowed, fix)
    if isinstance(spec.sample, list):
        if spec.by is not None or spec.each:
            name = "by" if spec.by is not None else "each"
            findings.add(f"{key}.{name}", "a list has no named entries", "a file with a mapping")
        if len(spec.sample) < (spec.count or 1):
            findings.add(f"{key}.sample", f"{len(spec.sample)} values, {spec.count or 1} wanted")
    elif spec.sample == "labels":
        if not isinstance(recipe.task, ClassifyTask):
            findings.add(f"{key}.sample", f"a {recipe.task.kind} task has no labels")
    elif spec.sample in ("seeds", "accepted"):
        if recipe.data.seeds is None:
            fix = "Set data.seeds to a file with a few good examples."
            findings.add(f"{key}.sample", "the recipe has no seeds", None, fix)
    else:
        _sample_file(recipe, key, spec.sample, spec, findings)


def _sample_file(recipe: Recipe, key: str, ref: str, spec: SampleField, findings: Findings) -> None:
    try:
        path = locate(recipe, ref)
        content = read_yaml(path).data if path.suffix in (".yaml", ".yml") else None
    except RecipeError as error:
        findings.add_error(f"{key}.sample", error)
        return
    if path.suffix not in (".yaml", ".yml"):
        return
    mapping = spec.by is not None or spec.each
    if not content or isinstance(content, dict) != mapping:
        found = f"{path.name} is not {'a mapping' if mapping else 'a list'} with values in it"
        fix = "`by` and `each` go with a mapping, and only with one."
        findings.add(f"{key}.sample", found, None, fix)
    elif spec.by is not None and isinstance(recipe.task, ClassifyTask):
        by = recipe.generate.fields.get(spec.by) if recipe.generate else None
        if isinstance(by, SampleField) and by.sample == "labels":
            for label in (label for label in recipe.task.labels if not content.get(label)):
                allowed = ", ".join(content)
                findings.add(f"{key}.sample", f"{path.name} has no entry for {label!r}", allowed)
