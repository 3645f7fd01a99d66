"""paraphrase: the same content in other words, so that a student meets more ways to say it."""

from distill.recipe.generation import AskField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, answer, number, part_of, source
from distill.recipe.strategy_options import ParaphraseOptions

SAY_AGAIN = """\
Say the text below in other words. Keep what it means, every fact and every name in it.
How it should sound: {{ style }}.

Text:
{{ SOURCE }}

Answer with the new text only."""


def paraphrase(recipe: Recipe, ask: str, options: ParaphraseOptions) -> Made:
    """A source, a style, the new input; the output is the source's or asked anew."""
    task = recipe.task
    keep = options.answer or ("keep" if recipe.data.seeds else "ask")
    kept = number(f"{{{{ {part_of('source', task.output)} | json }}}}")
    return {
        "source": source(recipe),
        "style": SampleField(sample=options.styles),
        task.input: AskField(
            ask=ask, prompt=SAY_AGAIN.replace("SOURCE", part_of("source", task.input))
        ),
        task.output: kept if keep == "keep" else answer(recipe, ask),
    }
