"""How often a system's answer is better than another's, as a teacher judges pairs in both orders.

Win rate as in AlpacaEval (Li et al. 2023): the mean over rows of 1 for a win, 0.5 for a tie, 0 for
a loss. Orders that disagree make a tie (Zheng et al. 2023, arXiv:2306.05685, section 3.4).
"""

from collections.abc import Sequence

from distill.judge.form import JudgeForm
from distill.judge.judge import Judge
from distill.measure.intervals import Figure, bootstrap, nothing
from distill.recipe.defaults import TEACHER_PROMPTS
from distill.recipe.prompts import OPTIONAL, TaskPrompt
from distill.recipe.task import JudgePairwiseTask
from distill.recipe.templates import Template
from teachers.protocol import Teacher

WORTH = {"a": 1.0, "tie": 0.5, "b": 0.0}


async def judge_wins(
    teacher: Teacher,
    instructions: Sequence[str],
    answers: Sequence[str | None],
    opponents: Sequence[str | None],
    *,
    in_flight: int = 16,
) -> list[float | None]:
    """1, 0.5 or 0 a row: the answer is better than the opponent's, as good, or worse.

    None where a verdict could not be read: the judge's failure is not the system's. A row that only
    one of the two has answered is decided without asking. Raises: AuthError, BudgetReached.
    """
    task = JudgePairwiseTask(kind="judge_pairwise")
    prompt = TaskPrompt(task, Template(TEACHER_PROMPTS[task.kind], "the comparison's prompt"))
    judge = Judge(teacher, JudgeForm(prompt, 16), in_flight=in_flight, constrained=True)
    found: list[float | None] = []
    for answer, opponent in zip(answers, opponents, strict=True):
        found.append(0.5 if bool(answer) == bool(opponent) else 1.0 if answer else 0.0)
    asked = [at for at, answer in enumerate(answers) if answer and opponents[at]]
    rows = [
        {
            **dict.fromkeys(OPTIONAL),
            "instruction": instructions[at],
            "a": answers[at],
            "b": opponents[at],
        }
        for at in asked
    ]
    for at, one in zip(asked, await judge.acompare_batch(rows), strict=True):
        found[at] = None if one.winner is None else WORTH[one.winner]
    return found


def win_figure(wins: Sequence[float | None], seed: int = 0) -> Figure:
    """The mean over the rows that could be judged, with a bootstrap interval."""
    known = [one for one in wins if one is not None]
    return bootstrap(known, seed) if known else nothing("no answer could be judged")
