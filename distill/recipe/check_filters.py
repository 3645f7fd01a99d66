"""Checks filters and the split."""

import re
from collections.abc import Iterator

from distill.recipe.check_filter_files import check_filter_files
from distill.recipe.filtering import (
    AgreeFilter,
    BalanceFilter,
    ClassifierFilter,
    FilterSpec,
    FormatFilter,
    LengthFilter,
    NotInGoldFilter,
    RegexFilter,
    VerifyFilter,
    asks,
    in_order,
)
from distill.recipe.findings import Findings, check_schema
from distill.recipe.schema import Recipe
from distill.recipe.student import BuildTokenizer
from distill.recipe.suggest import did_you_mean


def check_filters(recipe: Recipe, final: frozenset[str] | None, findings: Findings) -> None:
    """Notes filters that cannot work; adds their order to the notes."""
    for index, spec in enumerate(recipe.filter):
        key = f"filter.{index}.{spec.kind}"
        for name, field in _fields_of(spec):
            if final is not None and field not in final:
                fix = did_you_mean(field, final)
                allowed = ", ".join(sorted(final))
                findings.add(f"{key}.{name}", f"no field {field!r}", allowed, fix)
        _options(recipe, key, spec, findings)
        check_filter_files(recipe, key, spec, findings)
    if order := order_of(recipe):
        findings.notes.append(f"filters, in order: {', '.join(order)}")


def order_of(recipe: Recipe) -> list[str]:
    """The filters as they run, with what a person should know of each place."""
    ordered = [spec for _, spec in in_order(recipe.filter)]
    names = [f"{spec.kind} (asks {asks(spec)})" if asks(spec) else spec.kind for spec in ordered]
    if recipe.data.gold is not None and all(spec.kind != "not_in_gold" for spec in ordered):
        place = next((at for at, spec in enumerate(ordered) if asks(spec)), len(ordered))
        names.insert(place, "not_in_gold (added: there is gold)")
    return names


def _fields_of(spec: FilterSpec) -> Iterator[tuple[str, str]]:
    """The fields that a filter's options name, with the option."""
    singles = ["field", "with_"] + ["label"] * (spec.kind in ("label_noise", "consistent"))
    for name in singles:
        if (field := getattr(spec, name, None)) is not None:
            yield name.rstrip("_"), field
    for name in ("fields", "by"):
        for field in getattr(spec, name, None) or ():
            yield name, field


def check_split(recipe: Recipe, final: frozenset[str] | None, findings: Findings) -> None:
    """Notes names in keep_together and hold_out that are no field."""
    if recipe.split is None or final is None:
        return
    for key, known in (("keep_together", {"seed", "duplicates", *final}), ("hold_out", set(final))):
        for index, name in enumerate(getattr(recipe.split, key) or ()):
            if name not in known:
                allowed = ", ".join(sorted(known))
                fix = did_you_mean(name, known)
                findings.add(f"split.{key}.{index}", f"no field {name!r}", allowed, fix)


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
        case BalanceFilter(max=None, ratio=None):
            findings.add(key, "no cap is given", "max, ratio", "For example max: 500")
        case ClassifierFilter(min=None, max=None):
            findings.add(key, "no limit is given", "min, max", "For example max: 0.5")
        case VerifyFilter():
            _verify(key, spec, findings)


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


def _verify(key: str, spec: VerifyFilter, findings: Findings) -> None:
    if not (spec.number or spec.regex or spec.python or spec.with_):
        findings.add(key, "nothing is verified", "number, regex, python, with")
    try:
        re.compile(spec.regex or "")
    except (re.error, RecursionError, OverflowError) as error:
        findings.add(f"{key}.regex", f"not a regular expression: {error}")


def _agree(recipe: Recipe, key: str, spec: AgreeFilter, findings: Findings) -> None:
    """A field without `with` agrees with itself only if it was voted on or has probabilities."""
    if spec.with_ is not None or recipe.generate is None:
        return
    field = recipe.generate.fields.get(spec.field or recipe.task.output)
    votes = getattr(field, "votes", None)
    if field is not None and votes is None:
        fix = "Name the field to compare with in `with`."
        findings.add(key, "nobody votes on this field", None, fix)
