"""evolve: inputs rewritten into depth or breadth, those eliminated that did not evolve."""

from distill.recipe.generation import AskField, FieldSpec, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, answer, part_of, source
from distill.recipe.strategy_options import EvolveOptions
from distill.recipe.task import GenerateTask

REWRITE = """\
Rewrite the input below. {{ WAY }}

Keep it something that a person would really write, that makes sense by itself and that can be
answered. Add at most thirty words. Do not answer it.

Input:
{{ BEFORE }}

Write the new input only, without any heading."""

EVOLVED = """\
Here are two inputs.

First:
{{ BEFORE }}

Second:
{{ AFTER }}

Does the second one ask for something else than the first, or for more? Answer `same` where they
come to the same, else `evolved`."""

LEFT_OVERS = """\
{% set text = AFTER | lower %}\
{{ 'no' if not text.strip('.,;:!?-*#" \n') or 'given input' in text or 'new input' in text \
or 'rewritten' in text else 'yes' }}"""
"""Elimination of texts that are empty or speak of the rewriting (Xu et al. 2023, section 3.2)."""

ANSWERED = """\
{% set text = ANSWER | string %}\
{{ 'no' if not text.strip('.,;:!?-*#" \n') or ('sorry' in text | lower and text | wordcount < 80) \
else 'yes' }}"""
"""Elimination of inputs that the teacher cannot answer (the same section)."""


def evolve(recipe: Recipe, ask: str, options: EvolveOptions) -> Made:
    """The source, and for each round the way, the new text, and whether it is one at all."""
    task = recipe.task
    fields: dict[str, FieldSpec | None] = {"source": source(recipe)}
    before = part_of("source", task.input)
    for turn in range(1, options.rounds + 1):
        after = task.input if turn == options.rounds else f"input_{turn}"
        words = {"WAY": f"way_{turn}", "BEFORE": before, "AFTER": after}
        fields[f"way_{turn}"] = SampleField(sample=options.ways)
        fields[after] = AskField(ask=ask, prompt=_named(REWRITE, words))
        fields[f"whole_{turn}"] = RenderField(render=_named(LEFT_OVERS, words), keep=["yes"])
        fields[f"evolved_{turn}"] = AskField(
            ask=ask,
            prompt=_named(EVOLVED, words),
            choices=["evolved", "same"],
            keep=["evolved"],
        )
        before = after
    fields[task.output] = answer(recipe, ask)
    if isinstance(task, GenerateTask):
        check = _named(ANSWERED, {"ANSWER": task.output})
        fields["answered"] = RenderField(render=check, keep=["yes"])
    return fields


def _named(text: str, words: dict[str, str]) -> str:
    for ours, theirs in words.items():
        text = text.replace(ours, theirs)
    return text
