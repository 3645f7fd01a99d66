"""Checks filters and the split."""

import re

from distill.recipe.built import BUILT_FILTERS
from distill.recipe.filtering import (
    AgreeFilter,
    FilterSpec,
    FormatFilter,
    LengthFilter,
    NotInGoldFilter,
    RegexFilter,
)
from distill.recipe.findings import Findings, check_schema
from distill.recipe.schema import Recipe
from distill.recipe.student import BuildTokenizer
from distill.recipe.suggest import did_you_mean


def check_filters(recipe: Recipe, final: frozenset[str] | None, findings: Findings) -> None:
    """Notes filters that cannot work; adds their order to the notes."""
    for index, spec in enumerate(recipe.filter):
        if spec.kind not in BUILT_FILTERS:
            continue
        key = f"filter.{index}.{spec.kind}"
        for name in ("field", "with_"):
            field = getattr(spec, name, None)
            if field is not None and final is not None and field not in final:
                fix = did_you_mean(field, final)
                allowed = ", ".join(sorted(final))
                findings.add(f"{key}.{name.rstrip('_')}", f"no field {field!r}", allowed, fix)
        _options(recipe, key, spec, findings)
    order: list[str] = [spec.kind for spec in recipe.filter]
    if recipe.data.gold is not None and "not_in_gold" not in order:
        order.append("not_in_gold (added: there is gold)")
    if order:
        findings.notes.append(f"filters, in order: {', '.join(order)}")


def check_split(recipe: Recipe, final: frozenset[str] | None, findings: Findings) -> None:
    """Notes names in keep_together that are no field."""
    if recipe.split is None or final is None:
        return
    known = {"seed", "duplicates", *final}
    for index, name in enumerate(recipe.split.keep_together):
        if name not in known:
            allowed = ", ".join(sorted(known))
            fix = did_you_mean(name, known)
            findings.add(f"split.keep_together.{index}", f"no field {name!r}", allowed, fix)


def _options(recipe: Recipe, key: str, spec: FilterSpec, findings: Findings) -> None:
    match spec:
        case LengthFilter():
            _length(recipe, key, spec, findings)
        case RegexFilter():
            _regex(key, spec, findings)
        case FormatFilter(json_schema=schema) if schema is not None:
            check_schema(f"{key}.json_schema", schema, findings)
        case NotInGoldFilter() if recipe.data.gold is None:
            findings.add(key, "there is no gold", None, "Set data.gold, or drop the filter.")
        case AgreeFilter():
            _agree(recipe, key, spec, findings)


def _length(recipe: Recipe, key: str, spec: LengthFilter, findings: Findings) -> None:
    bounds = {unit: getattr(spec, unit) for unit in ("words", "characters", "tokens")}
    if not any(bounds.values()):
        findings.add(key, "no bounds are given", ", ".join(bounds), "For example words: [5, 150]")
    for unit, bound in bounds.items():
        if bound and (bound[0] > bound[1] or bound[0] < 0):
            findings.add(f"{key}.{unit}", f"[{bound[0]}, {bound[1]}] is not a least and a most")
    if spec.tokens and recipe.student is None:
        findings.add(f"{key}.tokens", "there is no student whose tokens could be counted")
    elif spec.tokens and recipe.student and isinstance(recipe.student.tokenizer, BuildTokenizer):
        fix = "Count words or characters, or give the student an existing tokenizer."
        findings.add(f"{key}.tokens", "the student's tokenizer is only trained later", None, fix)


def _regex(key: str, spec: RegexFilter, findings: Findings) -> None:
    if spec.match is None and spec.forbid is None:
        findings.add(key, "no pattern is given", "match, forbid")
    for name in ("match", "forbid"):
        try:
            re.compile(getattr(spec, name) or "")
        except (re.error, RecursionError, OverflowError) as error:
            findings.add(f"{key}.{name}", f"not a regular expression: {error}")


def _agree(recipe: Recipe, key: str, spec: AgreeFilter, findings: Findings) -> None:
    """A field without `with` agrees with itself only if it was voted on or has probabilities."""
    if spec.with_ is not None or recipe.generate is None:
        return
    field = recipe.generate.fields.get(spec.field or recipe.task.output)
    votes = getattr(field, "votes", None)
    if field is not None and votes is None:
        fix = "Name the field to compare with in `with`."
        findings.add(key, "nobody votes on this field", None, fix)
