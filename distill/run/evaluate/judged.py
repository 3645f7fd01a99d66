"""What judging adds to results: a judge's agreement with people, answers' faithfulness."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from distill.evaluate.grounded import judge_faithfulness, passage_texts
from distill.evaluate.judging import passport_of, rubric_key
from distill.evaluate.stage import SystemResult
from distill.evaluate.win_rate import judge_wins
from distill.recipe.bundled_rubrics import rubric_source
from distill.recipe.prompts import JUDGES
from distill.recipe.rubrics import read_rubric
from distill.recipe.task import GenerateTask, GroundedTask, JudgeAbsoluteTask, JudgePairwiseTask
from distill.rows.dataset import read_dataset
from distill.run.context import Context
from distill.run.evaluate.sets import MeasuredSet

RUBRIC = "faithfulness"
Results = Mapping[str, Sequence[SystemResult]]


def judged(
    context: Context, part: MeasuredSet, results: Results, tell: Callable[[str], None]
) -> dict[str, list[SystemResult]]:
    """Results with what is said of their answers, where the task asks for that."""
    task = context.recipe.task
    if isinstance(task, JUDGES):
        seen = trained_rubrics(context)
        return {
            name: [with_passport(task, one, part, seen) for one in found]
            for name, found in results.items()
        }
    evaluate = context.recipe.evaluate
    if evaluate is None or evaluate.judge is None:
        return {name: list(found) for name, found in results.items()}
    given = {
        name: [with_faithful(context, evaluate.judge, one, part, tell) for one in found]
        for name, found in results.items()
    }
    return _with_wins(context, evaluate.judge, given, part, tell)


def _with_wins(
    context: Context,
    judge: str,
    results: dict[str, list[SystemResult]],
    part: MeasuredSet,
    tell: Callable[[str], None],
) -> dict[str, list[SystemResult]]:
    """Free texts held against the teacher's, or against gold where no teacher answered."""
    task = context.recipe.task
    if not isinstance(task, GenerateTask):
        return results
    teacher = next((one.answers for one in results.get("teacher", ()) if one.answers), None)
    opponents = [str(text) for text in part.expected]
    if teacher is not None:
        opponents = [answer.text or "" for answer in teacher]
    questions = [str(row.get(task.input, "")) for row in part.records]

    def compared(result: SystemResult) -> SystemResult:
        if result.answers is None or (result.name == "teacher" and teacher is not None):
            return result
        tell(f"{part.name}: win rate of {result.name}")
        wins = context.runner.run(
            judge_wins(
                context.teachers[judge],
                questions,
                [answer.text for answer in result.answers],
                opponents,
                in_flight=4 * context.recipe.teachers[judge].concurrency,
            )
        )
        return replace(result, wins=wins)

    return {name: [compared(one) for one in found] for name, found in results.items()}


def with_passport(
    task: JudgeAbsoluteTask | JudgePairwiseTask,
    result: SystemResult,
    part: MeasuredSet,
    seen: frozenset[str],
) -> SystemResult:
    """A judge's result with its figures against people."""
    assert result.answers is not None
    found = passport_of(task, result.answers, part.records, names=part.ids, seen=seen)
    return replace(result, passport=found)


def trained_rubrics(context: Context) -> frozenset[str]:
    """The rubrics of the training rows, as `rubric_key` tells them apart."""
    rows = read_dataset(context.directory.dataset, "train")
    return frozenset(key for row in rows if (key := rubric_key(row.fields)))


def with_faithful(
    context: Context,
    judge: str,
    result: SystemResult,
    part: MeasuredSet,
    tell: Callable[[str], None],
) -> SystemResult:
    """A result with what a teacher says of its answers, where it was shown passages."""
    recipe = context.recipe
    task = recipe.task
    grounded = task if isinstance(task, GroundedTask) else GroundedTask(kind="grounded")
    if result.answers is None or not (grounded is task or result.shown is not None):
        return result
    records = result.shown or part.records
    tell(f"{part.name}: faithfulness of {result.name}")
    found = context.runner.run(
        judge_faithfulness(
            context.teachers[judge],
            read_rubric(rubric_source(recipe, RUBRIC), RUBRIC),
            [str(row.get(task.input, "")) for row in part.records],
            [answer.text for answer in result.answers],
            [passage_texts(grounded, row) for row in records],
            in_flight=4 * recipe.teachers[judge].concurrency,
        )
    )
    return replace(result, faithful=found)
