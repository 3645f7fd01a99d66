"""from_documents: questions and cited answers out of documents, beside passages that mislead.

RAFT (Zhang et al. 2024, arXiv:2403.10131): the student sees the passage that holds the answer among
distractors, and for a share of the rows distractors only.
"""

from fractions import Fraction

from distill.recipe.generation import AskField, Chunk, FieldSpec, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, answer, number
from distill.recipe.strategy_options import FromDocumentsOptions
from distill.recipe.task import GroundedTask
from distill.recipe.templates import as_literal

ASK_QUESTION = """\
Write one question that the passage below answers, as somebody would ask who has not seen it: with
the names that one needs to know what it is about, and without words like "the passage".

{% if passage.title %}{{ passage.title }}
{% endif %}{{ passage.text }}

Answer with the question only."""

ANSWER_FROM_PASSAGE = """\
Answer the question from the passage alone, in one or two sentences.

{% if passage.title %}{{ passage.title }}
{% endif %}{{ passage.text }}

Question: {{ QUESTION }}
Answer:"""

PASSAGES = """\
{% if unanswerable %}{{ others | json }}{% else %}\
{{ (others[:place] + [passage] + others[place:][:-1]) | json }}{% endif %}"""
"""As many passages with the right one as without it: their number says nothing."""

CITED = """\
{{ 'yes' if unanswerable or '[' ~ (place + 1) ~ ']' in ANSWER else 'no' }}"""


def from_documents(recipe: Recipe, ask: str, options: FromDocumentsOptions) -> Made:
    """A passage and a question; for grounded tasks also the passages shown and a cited answer."""
    task = recipe.task
    chunk = Chunk(words=options.words, overlap=options.overlap)
    fields: dict[str, FieldSpec | None] = {
        "passage": SampleField(sample="documents", in_turn=True, chunk=chunk),
        task.input: AskField(ask=ask, prompt=ASK_QUESTION),
    }
    if not isinstance(task, GroundedTask):
        prompt = ANSWER_FROM_PASSAGE.replace("QUESTION", task.input)
        return {**fields, task.output: AskField(ask=ask, prompt=prompt)}
    share = Fraction(options.unanswerable).limit_denominator(20)
    shown = options.distractors + 1
    cited = answer(recipe, ask)
    drawn: dict[str, FieldSpec | None] = {
        "others": SampleField(sample="documents", count=shown, other_than="passage", chunk=chunk),
        "place": SampleField(sample=list(range(shown))),
        "unanswerable": SampleField(
            sample=[True] * share.numerator + [False] * (share.denominator - share.numerator)
        ),
        task.passages: number(PASSAGES),
    }
    asked = cited.model_copy(
        update={"when": "{{ not unanswerable }}", "otherwise": as_literal(task.abstain)}
    )
    return {
        **fields,
        **drawn,
        task.output: asked,
        "cited": RenderField(render=CITED.replace("ANSWER", task.output), keep=["yes"]),
    }
