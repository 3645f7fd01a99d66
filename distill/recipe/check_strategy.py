"""Checks what a strategy needs of the recipe, the balance, and how many rows are wanted."""

from collections.abc import Mapping
from typing import get_args

from distill.recipe.check_fields import known_teacher
from distill.recipe.findings import Findings
from distill.recipe.generation import AskField, SampleField, StrategyName, draws_rows
from distill.recipe.given import learns_given_rows
from distill.recipe.schema import Recipe
from distill.recipe.strategy_options import OPTIONS
from distill.recipe.suggest import did_you_mean
from distill.recipe.task import labels_of

NEEDS: Mapping[str, tuple[str, ...]] = {
    "label_pool": ("pool",),
    "self_instruct": ("seeds",),
    "evolve": ("seeds", "pool"),
    "paraphrase": ("seeds", "pool"),
    "from_documents": ("documents",),
    "rationale": ("pool", "seeds"),
    "react": ("pool", "seeds"),
    "preference": ("pool", "seeds"),
    "judge_data": ("pool", "seeds"),
    "context_distillation": ("pool", "seeds"),
    "best_of_n": ("pool", "seeds"),
    "edit_hard": (),
}
"""Strategy -> the data of which it needs one."""
TASKS: Mapping[str, tuple[str, ...]] = {
    "from_documents": ("grounded", "generate"),
    "rationale": ("classify", "extract", "generate"),
    "react": ("generate", "grounded"),
    "preference": ("generate",),
    "judge_data": ("judge_absolute", "judge_pairwise"),
    "best_of_n": ("generate", "grounded"),
}
"""Strategies that make rows of some tasks only; the others make them of every task but judging."""
JUDGES = ("judge_absolute", "judge_pairwise")
JUDGING = ("label_pool", "judge_data")


def check_strategy(recipe: Recipe, findings: Findings) -> None:
    """Notes what a strategy needs and the recipe does not give."""
    generate = recipe.generate
    if generate is None:
        return
    data, strategy = recipe.data, generate.strategy
    if strategy is not None and generate.ask is None:
        teachers = ", ".join(recipe.teachers) or "none is defined"
        findings.add("generate.ask", f"strategy {strategy} needs a teacher", teachers)
    if generate.ask is not None:
        known_teacher(recipe, "generate.ask", generate.ask, findings)
    if strategy is not None:
        _needs(recipe, strategy, findings)
        _options(recipe, strategy, findings)
    if learns_given_rows(recipe):
        return
    if strategy is None and not generate.fields:
        fix = "Give generate.fields or generate.strategy."
        findings.add("generate", "nothing is generated", ", ".join(get_args(StrategyName)), fix)
    pooled = data.pool is not None and not _drawn(recipe)
    if generate.accept is None and generate.candidates is None and not pooled:
        fix = "Set generate.accept, or label a pool."
        findings.add("generate.accept", "how many rows are wanted is not said", None, fix)
    if generate.accept and generate.candidates and generate.candidates < generate.accept:
        found = f"{generate.candidates} candidates cannot give {generate.accept} accepted rows"
        findings.add("generate.candidates", found, f"at least {generate.accept}")


def _drawn(recipe: Recipe) -> bool:
    generate = recipe.generate
    assert generate is not None
    drawn = ("self_instruct", "evolve", "paraphrase", "from_documents", "edit_hard")
    return generate.strategy in drawn or draws_rows(generate)


def _needs(recipe: Recipe, strategy: str, findings: Findings) -> None:
    generate, task = recipe.generate, recipe.task
    assert generate is not None
    needed = NEEDS[strategy]
    made = task.input in generate.fields and strategy not in ("evolve", "paraphrase")
    if needed and not made and all(getattr(recipe.data, name) is None for name in needed):
        what = {
            "label_pool": "label_pool has nothing to label",
            "self_instruct": "self_instruct grows from seeds, and there are none",
        }.get(strategy, f"{strategy} has nothing to start from")
        fix = f"Set {' or '.join(f'data.{name}' for name in needed)}"
        more = f", or make {task.input!r} in generate.fields." if "pool" in needed else "."
        findings.add(f"data.{needed[0]}", what, None, fix + more)
    judging = task.kind in JUDGES
    fits = [name for name in NEEDS if task.kind in TASKS.get(name, (task.kind,))]
    if judging:
        fits = [name for name in fits if name in JUDGING]
    if strategy not in fits:
        found = f"{strategy} makes no rows of a {task.kind} task"
        findings.add("generate.strategy", found, ", ".join(fits))


def _options(recipe: Recipe, strategy: str, findings: Findings) -> None:
    generate = recipe.generate
    assert generate is not None
    options = generate.options
    needed = [name for name, part in OPTIONS[strategy].model_fields.items() if part.is_required()]
    if options is None:
        for name in needed:
            fix = f"Add `options: {{{name}: ...}}`."
            findings.add(f"generate.options.{name}", f"strategy {strategy} needs it", None, fix)
        return
    if getattr(options, "flips", None) == "review" and recipe.review is None:
        found, fix = "nobody reviews in this recipe", "Give `review`."
        findings.add("generate.options.flips", found, "tie, drop", fix)
    kept = "flips" in options.model_fields_set and getattr(options, "flips", None) != "drop"
    pairs = recipe.task.kind == "judge_pairwise"
    if kept and pairs and "tie" not in (labels_of(recipe.task) or ()):
        found = "the scale has no tie, which a verdict that turns with the order would be"
        findings.add("generate.options.flips", found, "drop", "Add tie to task.scale, or drop.")
    for name in ("judge", "other"):
        if (teacher := getattr(options, name, None)) is not None:
            known_teacher(recipe, f"generate.options.{name}", teacher, findings)


def check_balance(recipe: Recipe, findings: Findings) -> None:
    """Notes a balance whose cells cannot be known; the recipe is expanded."""
    generate = recipe.generate
    if generate is None or generate.balance is None:
        return
    if generate.accept is None:
        fix = "Set generate.accept: without a target nothing is short."
        findings.add("generate.balance", "there is no target to share out", None, fix)
    closed = [name for name in generate.fields if _closed(recipe, name)]
    for name in generate.cells:
        if name not in closed:
            findings.add(
                "generate.balance",
                f"the values of {name!r} are not known beforehand",
                ", ".join(closed) or "a field drawn from a list, or asked with choices",
                did_you_mean(name, closed),
            )


def _closed(recipe: Recipe, name: str) -> bool:
    """Whether the values that a field may have are known."""
    assert recipe.generate is not None
    spec = recipe.generate.fields.get(name)
    if isinstance(spec, SampleField):
        open_ = ("seeds", "accepted", "pool", "documents", "failures")
        return spec.sample not in open_ and not (spec.by or spec.each or spec.count)
    if isinstance(spec, AskField) and spec.choices:
        return True
    return name == recipe.task.output and bool(labels_of(recipe.task))


def check_probe(recipe: Recipe, findings: Findings) -> None:
    """Notes a probe without gold to measure on."""
    generate = recipe.generate
    if generate is not None and generate.probe is not None and recipe.data.gold is None:
        fix = "Set data.gold, or leave the probe out."
        findings.add("generate.probe", "there is no gold to measure the teacher on", None, fix)
