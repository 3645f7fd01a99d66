"""preference: two answers ranked by a judge who sees them in both orders."""

from distill.recipe.generation import AskField, FieldSpec, RenderField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import ORDERS, Made, inputs, question
from distill.recipe.strategy_options import PreferenceOptions
from distill.recipe.templates import as_literal

RANK = """\
Below is what was asked, and two responses. Which response is better? Better means: {{ CRITERIA }}.
Neither their order nor their length matters.

Asked:
{{ QUESTION }}

Response A:
{{ FIRST }}

Response B:
{{ SECOND }}

Answer with one of A, B, TIE and nothing else."""

WINNER = (
    "{{ 'first' if ranked == 'A' and ranked_swapped == 'B' "
    "else 'second' if ranked == 'B' and ranked_swapped == 'A' else 'tie' }}"
)
"""A verdict that changes with the order, or a tie, says nothing to learn from."""


def preference(recipe: Recipe, ask: str, options: PreferenceOptions) -> Made:
    """Two answers, the verdict in both orders, the winner as `chosen`, the loser as `rejected`."""
    prompt = question(recipe)
    fields: dict[str, FieldSpec | None] = dict(inputs(recipe, ask))
    if options.other is None:
        fields["answers"] = AskField(ask=ask, prompt=prompt, count=2)
        one, two = "answers[0]", "answers[1]"
    else:
        fields["answer_1"] = AskField(ask=ask, prompt=prompt)
        fields["answer_2"] = AskField(ask=options.other, prompt=prompt)
        one, two = "answer_1", "answer_2"
    # The same text twice needs no judge.
    fields["differ"] = RenderField(
        render=f"{{{{ 'yes' if {one} != {two} else 'no' }}}}", keep=["yes"]
    )
    for name, first, second in (("ranked", one, two), ("ranked_swapped", two, one)):
        text = RANK.replace("{{ CRITERIA }}", as_literal(options.criteria))
        text = text.replace("FIRST", first).replace("SECOND", second)
        text = text.replace("{{ QUESTION }}", prompt)
        judge = options.judge or ask
        fields[name] = AskField(ask=judge, prompt=text, choices=ORDERS)
    fields["winner"] = RenderField(render=WINNER, keep=["first", "second"])
    fields["chosen"] = RenderField(render=f"{{{{ {one} if winner == 'first' else {two} }}}}")
    fields["rejected"] = RenderField(render=f"{{{{ {two} if winner == 'first' else {one} }}}}")
    fields[recipe.task.output] = RenderField(render="{{ chosen }}")
    return fields
