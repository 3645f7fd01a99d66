"""best_of_n: several answers, scored; the best is learnt, the others are kept beside it."""

from distill.recipe.generation import AskField, FieldSpec, PythonField, RenderField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import REWARD_SCALE, Made, ending, inputs, number, question
from distill.recipe.strategy_options import BestOfNOptions
from distill.recipe.templates import as_literal

SCORE = """\
Below is what was asked, and a response. How good is the response? Good means: {{ CRITERIA }}.

Asked:
{{ QUESTION }}

Response:
{{ ANSWER }}

Answer with one number from 1 (bad) to 5 (could not be better) and nothing else."""

OTHERS = """\
{% set found = namespace(all=[]) %}{% for answer in answers %}{% if loop.index0 != best %}\
{% set found.all = found.all + [{'answer': answer, 'score': scores[loop.index0]}] %}\
{% endif %}{% endfor %}{{ found.all | json }}"""


def best_of_n(recipe: Recipe, ask: str, options: BestOfNOptions) -> Made:
    """The answers, a score of each, which is best, and the losers with their scores.

    The first of equally good answers wins.
    """
    prompt = question(recipe)
    fields: dict[str, FieldSpec | None] = dict(inputs(recipe, ask))
    fields["answers"] = AskField(ask=ask, prompt=prompt, count=options.n)
    for at in range(options.n):
        fields[f"score_{at + 1}"] = _score(ask, prompt, f"answers[{at}]", options)
    listed = ", ".join(f"score_{at + 1} | float" for at in range(options.n))
    fields["scores"] = number(f"{{{{ [{listed}] | json }}}}")
    fields["best"] = number("{{ scores.index(scores | max) }}")
    if options.min is not None:
        good = f"{{{{ 'yes' if scores[best] >= {options.min:g} else 'no' }}}}"
        fields["good"] = RenderField(render=good, keep=["yes"])
    fields["losers"] = number(OTHERS)
    fields[recipe.task.output] = RenderField(render="{{ answers[best] }}")
    return fields


def _score(ask: str, prompt: str, answer: str, options: BestOfNOptions) -> FieldSpec:
    if options.verifier is not None:
        return PythonField(
            python=options.verifier,
            ask=options.judge or ask,
            args={"answer": f"{{{{ {answer} }}}}"},
        )
    if options.reference is not None:
        same = f"{ending(answer)} == {ending(options.reference)}"
        # "... the answer is 42" ends with it too.
        ends = f"{ending(answer)}.endswith(' ' ~ {ending(options.reference)})"
        return RenderField(render=f"{{{{ 1 if {same} or {ends} else 0 }}}}")
    text = SCORE.replace("{{ CRITERIA }}", as_literal(options.criteria))
    text = text.replace("ANSWER", answer).replace("{{ QUESTION }}", prompt)
    return AskField(ask=options.judge or ask, prompt=text, choices=REWARD_SCALE)
