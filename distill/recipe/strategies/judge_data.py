"""judge_data: rows that a judge learns from, in the shape that judges are evaluated on.

Absolute: {instruction, response, rubric, score, feedback}; pairwise: {instruction, a, b, winner,
feedback}, the verdict asked in both orders. Prometheus (Kim et al. 2023, arXiv:2310.08491) writes
responses across the range of scores; here the score is what a judge says, not what was wanted.
"""

from distill.recipe.bundled_rubrics import rubrics_of
from distill.recipe.defaults import RUBRIC, TEACHER_PROMPTS, without_tie
from distill.recipe.generation import AskField, FieldSpec, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import EXAMPLES, ORDERS, Made, baked, number
from distill.recipe.strategy_options import JudgeDataOptions
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask, Scale, labels_of

HELPFULNESS = "Is the response helpful: correct, complete, to the point, as it was asked for?"

NEW_INSTRUCTION = """\
Here are some instructions that people gave.

{% for row in examples -%}
Instruction: {{ row['instruction'] }}

{% endfor -%}
Write one new instruction. It must differ from the ones above in what it is about and in how it is
put. Answer with the instruction only."""

WRITE = """\
{% set rubric = row.get('rubric') %}{% set context = row.get('context') %}\
Write a response to the instruction that deserves WANTED, no better and no worse. Do not say so in
the response, and do not make it shorter only because it is to be worse.

"""
TO = "Instruction:\n{{ instruction }}\n\nResponse:"

WHY_ABSOLUTE = """

The grade is {{ score }}. Say in two to four sentences why, naming what in the response speaks for
it and what would have to change for a better one. Write the reasons only, without the grade."""
WHY_PAIRWISE = """

The verdict is {{ winner | upper }} (A, B, or TIE). Say in two to four sentences why, naming what in
the responses decides it. Write the reasons only, without the verdict."""

WINNER = """\
{% set second = {'A': 'b', 'B': 'a', 'TIE': 'tie'}[ranked_swapped] %}\
{{ ranked | lower if ranked | lower == second else FLIP }}"""
VOTES = """\
{{ {'a': first['A'] + second['B'], 'b': first['B'] + second['A'],
    'tie': first['TIE'] + second['TIE']} | json }}"""
"""What both orders say of the answers, counted together."""
FLIPPED = """\
{% set second = {'A': 'b', 'B': 'a', 'TIE': 'tie'}[ranked_swapped] %}\
{{ 'false' if ranked | lower == second else 'true' }}"""


def judge_data(recipe: Recipe, ask: str, options: JudgeDataOptions) -> Made:
    """Rubric, instruction, the response or two of different quality, then what a judge says."""
    task = recipe.task
    fields: dict[str, FieldSpec | None] = {}
    rubrics = rubrics_of(recipe, options)
    if rubrics is None and recipe.data.pool is None:
        rubrics = [HELPFULNESS]
    if rubrics is not None:
        fields["rubric"] = SampleField(sample=rubrics)
    if recipe.data.pool is None and recipe.data.seeds is not None:
        fields["examples"] = SampleField(sample="accepted", count=EXAMPLES)
        fields["instruction"] = AskField(ask=ask, prompt=NEW_INSTRUCTION)
    else:
        fields["instruction"] = None
    if isinstance(task, JudgePairwiseTask):
        fields |= _two_responses(ask)
    else:
        wanted = _wanted(task)
        fields["wanted"] = SampleField(sample=wanted, in_turn=True)
        text = WRITE.replace("WANTED", f"the grade {{{{ wanted }}}} of {wanted[0]} to {wanted[-1]}")
        fields["response"] = AskField(ask=ask, prompt=text + RUBRIC + TO)
    fields |= verdicts(recipe, options.judge or ask, options)
    fields["source"] = RenderField(render=f"teacher:{options.judge or ask}")
    return fields


def verdicts(recipe: Recipe, judge: str, options: JudgeDataOptions | None = None) -> Made:
    """What a judge says of rows that are already there: the score or the winner, and why."""
    options = options or JudgeDataOptions(feedback=False)
    task = recipe.task
    prompt = baked(recipe, TEACHER_PROMPTS[task.kind])
    if isinstance(task, JudgePairwiseTask):
        fields = _both_orders(judge, prompt, task, options)
        why = WHY_PAIRWISE.replace("winner", task.output)
    else:
        fields = {
            "judged": AskField(ask=judge, prompt=prompt, votes=options.votes, choices="labels"),
            task.output: _score(task),
        }
        why = WHY_ABSOLUTE.replace("score", task.output)
    if options.feedback:
        # The same sight of the row, another question.
        shown = prompt.rsplit("Answer with", 1)[0].rsplit("Which one is better?", 1)[0]
        fields["feedback"] = AskField(ask=judge, prompt=shown.rstrip() + why)
    return fields


def _two_responses(ask: str) -> dict[str, FieldSpec | None]:
    """One good and one worse, which of them stands first drawn for each row."""
    fields: dict[str, FieldSpec | None] = {
        "quality_a": SampleField(sample=["a high grade", "a middling grade", "a low grade"]),
        "quality_b": SampleField(sample=["a high grade", "a middling grade", "a low grade"]),
    }
    for side in ("a", "b"):
        text = WRITE.replace("WANTED", f"{{{{ quality_{side} }}}}")
        fields[side] = AskField(ask=ask, prompt=text + RUBRIC + TO)
    same = "{{ 'no' if a == b else 'yes' }}"
    fields["differ"] = RenderField(render=same, keep=["yes"])
    return fields


def _both_orders(
    judge: str, prompt: str, task: JudgePairwiseTask, options: JudgeDataOptions
) -> dict[str, FieldSpec | None]:
    swapped = "{% set a, b = b, a %}" + prompt
    ties = "tie" in task.scale
    drop = options.flips == "drop" or not ties
    keep = list(task.scale) if drop else None
    orders = ORDERS if ties else [one for one in ORDERS if one != "TIE"]
    if not ties:
        prompt, swapped = map(without_tie, (prompt, swapped))
    winner = WINNER.replace("FLIP", "'flip'" if drop else "'tie'")
    marked = {"flipped": number(FLIPPED)} if options.flips == "review" else {}
    return {
        "ranked": AskField(ask=judge, prompt=prompt, votes=options.votes, choices=orders),
        "ranked_swapped": AskField(ask=judge, prompt=swapped, votes=options.votes, choices=orders),
        task.output: RenderField(render=winner, keep=keep),
        f"{task.output}_votes": _votes_of_both(options.votes),
        **marked,
    }


def _votes_of_both(votes: int) -> RenderField:
    """Answer -> count, which a student learns where the judge tells no probabilities."""
    text = VOTES
    for place, name in (("first", "ranked"), ("second", "ranked_swapped")):
        counted = ", ".join(f"'{one}': {_count_of(name, one, votes)}" for one in ORDERS)
        text = f"{{% set {place} = {{{counted}}} %}}" + text
    return number(text)


def _count_of(name: str, answer: str, votes: int) -> str:
    """The expression for how often a reading says an answer; one vote leaves no counts behind."""
    if votes == 1:
        return f"({name} == '{answer}') | int"
    return f"{name}_votes.get('{answer}', 0)"


def _score(task: object) -> RenderField:
    """The verdict as the scale has it: a number, or the name of a level."""
    named = not isinstance(getattr(task, "scale", None), Scale)
    return RenderField(render="{{ judged }}") if named else number("{{ judged }}")


def _wanted(task: object) -> list[str]:
    assert isinstance(task, JudgeAbsoluteTask)
    return labels_of(task) or []
