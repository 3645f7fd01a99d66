"""Checks the fields of `generate`: every name in a template is made by an earlier step."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from distill.errors import RecipeError
from distill.recipe.check_data import Tables
from distill.recipe.files import locate, names_a_file, text_of
from distill.recipe.findings import Findings
from distill.recipe.functions import load_function
from distill.recipe.generation import (
    LINEAGE,
    OWN_SOURCES,
    TOOLS,
    ActField,
    AskField,
    FieldSpec,
    PythonField,
    RenderField,
    SampleField,
    draws_rows,
)
from distill.recipe.given import DOCUMENT, FIELDS, learns_given_rows, objective_of
from distill.recipe.schema import Recipe
from distill.recipe.suggest import did_you_mean
from distill.recipe.task import ClassifyTask, labels_of
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


def check_fields(recipe: Recipe, tables: Tables, findings: Findings) -> frozenset[str] | None:
    """Notes fields that cannot be made; returns the fields of a finished row, None if unknown."""
    generate = recipe.generate
    assert generate is not None
    draws = {name for name, spec in generate.fields.items() if isinstance(spec, SampleField)}
    pooled = recipe.data.pool is not None and not draws_rows(generate)
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
    if isinstance(spec, SampleField) and _recorded(spec):
        yield f"{name}_id"
    if isinstance(spec, AskField):
        if spec.votes > 1:
            yield f"{name}_votes"
        if spec.votes > 1 or spec.choices:
            yield f"{name}_p"
        if spec.votes == 1 and spec.choices:
            yield f"{name}_logp"
        if spec.truncated == "accept":
            yield f"{name}_finish"


def _recorded(spec: SampleField) -> bool:
    """Whether it is recorded what a value came from."""
    return spec.sample in LINEAGE and not spec.count and not spec.other_than


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
            for part in ("when", "otherwise"):
                if (text := getattr(spec, part)) is not None:
                    _template(recipe, f"{key}.{part}", text, known, findings)
        case PythonField():
            if spec.ask is not None:
                known_teacher(recipe, f"{key}.ask", spec.ask, findings)
            _function(recipe, f"{key}.python", spec.python, findings)
            for arg, text in spec.args.items():
                _template(recipe, f"{key}.args.{arg}", text, known, findings)
        case ActField():
            _template(recipe, f"{key}.act", spec.act, known, findings)
            for tool, what in spec.tools.items():
                _tool(recipe, f"{key}.tools.{tool}", what, findings)


def _function(recipe: Recipe, key: str, ref: str, findings: Findings) -> None:
    try:
        load_function(recipe, ref, key)
    except RecipeError as error:
        findings.add_error(key, error)


def _tool(recipe: Recipe, key: str, what: str, findings: Findings) -> None:
    if what == "documents" and recipe.data.documents is None:
        findings.add(key, "there are no documents to search", None, "Set data.documents.")
    elif what not in TOOLS:
        if ":" not in what:
            allowed = f"{', '.join(TOOLS)}, package.module:function"
            findings.add(key, f"unknown tool {what!r}", allowed, did_you_mean(what, TOOLS))
        else:
            _function(recipe, key, what, findings)


def _choices(recipe: Recipe, key: str, choices: str | list[str], findings: Findings) -> None:
    if isinstance(choices, list):
        if not choices:
            findings.add(key, "an empty list of choices")
        return
    allowed = "a list, or `labels` for the labels of a classify task"
    if choices not in ("label", "labels"):
        findings.add(key, f"unknown choices {choices!r}", allowed)
    elif not labels_of(recipe.task):
        findings.add(key, f"a {recipe.task.kind} task has no labels", allowed)


def _template(recipe: Recipe, key: str, source: str, known: _Known, findings: Findings) -> None:
    try:
        file = str(locate(recipe, source.strip())) if names_a_file(source) else key
        template = Template(text_of(recipe, source), file)
    except RecipeError as error:
        findings.add_error(key, error)
        return
    for name in sorted(template.names):
        if not known.has(name) and name != "row":
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
        if not labels_of(recipe.task):
            findings.add(f"{key}.sample", f"a {recipe.task.kind} task has no labels")
    elif spec.sample in OWN_SOURCES:
        name = "seeds" if spec.sample == "accepted" else spec.sample
        if name != "failures" and getattr(recipe.data, name) is None:
            findings.add(f"{key}.sample", f"the recipe has no {name}", None, f"Set data.{name}.")
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
