"""Answers from passages: are they right, do they cite what holds them, do they stop in time?

Answers are compared as SQuAD does (Rajpurkar et al. 2016, arXiv:1606.05250; 2018, arXiv:1806.03822,
where nothing can be answered): without case, punctuation, articles and, here, citations.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distill.judge.form import JudgeForm
from distill.judge.judge import Judge
from distill.measure.duplicates import normalise
from distill.measure.intervals import Figure, bootstrap, nothing, proportion
from distill.recipe.defaults import TEACHER_PROMPTS
from distill.recipe.prompts import TaskPrompt
from distill.recipe.rubrics import Rubric
from distill.recipe.task import GroundedTask, JudgeAbsoluteTask
from distill.recipe.templates import Template
from teachers.protocol import Teacher

CITATION = re.compile(r"\[\s*(\d+(?:\s*[,;]\s*\d+)*)\s*\]")
ARTICLES = frozenset({"a", "an", "the"})
FAITHFUL_FROM = 0.75
"""Place on a rubric's scale (0 lowest, 1 highest) from which an answer is faithful: 4 of 5."""
NO_JUDGE = "no teacher is named to judge it (evaluate.judge)"
NOTHING_HELD = "of no row is it known which passage holds the answer"
RESAMPLES = 1000


def grounded_figures(
    task: GroundedTask,
    answers: Sequence[str | None],
    gold: Sequence[Any],
    records: Sequence[Mapping[str, Any]],
    *,
    shown: Sequence[Mapping[str, Any]] | None = None,
    faithful: Sequence[bool | None] | None = None,
    seed: int = 0,
) -> dict[str, Figure]:
    """Figures of grounded answers; a missing answer is wrong, cites nothing and abstains nowhere.

    exact and token_f1 against the best of the gold answers; abstention, the share of rows on which
    it abstains just where gold does; citation_precision and citation_recall over all citations (the
    passages that gold cites, else those that hold its answer); faithful, the share of the answers
    judged that follow from their passages.

    Args:
        task: What was asked.
        answers: One per row.
        gold: The expected answer of every row, or a list of several that are right; none where the
            passages hold none.
        records: The rows, with their passages.
        shown: The rows as the system saw them, where it saw other passages.
        faithful: What a judge says of each answer; None for those that it was not asked about.
        seed: Of the bootstrap.
    """
    rows = list(zip(answers, gold, records, shown or records, strict=True))
    exact = sum(answer_score(task, answer, truth)[0] for answer, truth, _, _ in rows)
    scores = [answer_score(task, answer, truth)[1] for answer, truth, _, _ in rows]
    stops = [
        answer is not None and abstains(task, answer) == (not gold_answers(task, truth))
        for answer, truth, _, _ in rows
    ]
    return {
        "exact": proportion(exact, len(rows)),
        "token_f1": bootstrap(scores, seed, resamples=RESAMPLES),
        **_citation_figures(task, rows, seed),
        "abstention": proportion(sum(stops), len(rows)),
        "faithful": faithful_figure(faithful),
    }


def answer_score(task: GroundedTask, answer: str | None, truth: Any) -> tuple[bool, float]:
    """Whether an answer is exactly right, and its best F1 over words, 0 to 1."""
    if answer is None:
        return False, 0.0
    wanted = gold_answers(task, truth)
    if not wanted or abstains(task, answer):
        right = abstains(task, answer) and not wanted
        return right, float(right)
    mine = words_of(answer)
    return (
        any(mine == words_of(text) for text in wanted),
        max(_f1(mine, words_of(text)) for text in wanted),
    )


def gold_answers(task: GroundedTask, truth: Any) -> list[str]:
    """The answers that are right; none where gold abstains."""
    given = truth if isinstance(truth, list | tuple) else [truth]
    texts = [str(text) for text in given if text is not None and str(text).strip()]
    return [text for text in texts if not abstains(task, text)]


def abstains(task: GroundedTask, answer: str) -> bool:
    """Whether an answer begins with the task's words for not knowing."""
    said, wanted = words_of(answer), words_of(task.abstain)
    return bool(wanted) and said[: len(wanted)] == wanted


def citations(answer: str) -> set[int]:
    """The passages that an answer names, like [1] or [2, 3]."""
    return {int(one) for group in CITATION.findall(answer) for one in re.findall(r"\d+", group)}


def words_of(text: str) -> list[str]:
    """The words that count when answers are compared."""
    return [word for word in normalise(CITATION.sub(" ", text)).split() if word not in ARTICLES]


def passage_texts(task: GroundedTask, record: Mapping[str, Any]) -> list[str]:
    """The passages of a row as text, with their titles."""
    given = record.get(task.passages)
    return [_text(one) for one in given] if isinstance(given, list | tuple) else []


def holding(
    task: GroundedTask, truth: Any, record: Mapping[str, Any], shown: Mapping[str, Any]
) -> set[int] | None:
    """The numbers of the shown passages that hold the answer; None where that cannot be told.

    Those that gold cites, found again by their text among other passages; else all that have the
    words of a gold answer in a row.
    """
    wanted = gold_answers(task, truth)
    if not wanted:
        return set()
    own, seen = passage_texts(task, record), passage_texts(task, shown)
    cited = {at for text in wanted for at in citations(text) if 0 < at <= len(own)}
    if cited and own == seen:
        return cited
    if cited:
        texts = [normalise(own[at - 1]) for at in sorted(cited)]
        found = {
            at
            for at, text in enumerate(map(normalise, seen), 1)
            if any(text in one or one in text for one in texts)
        }
        return found or None
    runs = [" ".join(words) for text in wanted if (words := words_of(text))]
    held = {
        at
        for at, text in enumerate(seen, 1)
        if any(f" {run} " in f" {' '.join(words_of(text))} " for run in runs)
    }
    return held or None


async def judge_faithfulness(
    teacher: Teacher,
    rubric: Rubric,
    questions: Sequence[str],
    answers: Sequence[str | None],
    passages: Sequence[Sequence[str]],
    *,
    in_flight: int = 16,
) -> list[bool | None]:
    """Whether each answer follows from its passages, as a teacher judges by a rubric.

    None where there is no answer, no passage, or no verdict that could be read: the judge's
    failure is not the system's. Raises: AuthError, BudgetReached.
    """
    task = JudgeAbsoluteTask(kind="judge_absolute", scale=list(rubric.steps))
    form = JudgeForm(
        TaskPrompt(task, Template(TEACHER_PROMPTS[task.kind], "the faithfulness prompt")), 16
    )
    asked = [at for at, text in enumerate(answers) if text and text.strip() and passages[at]]
    rows = [
        {
            "instruction": questions[at],
            "response": answers[at],
            "rubric": rubric.text,
            "context": "\n\n".join(f"[{n}] {text}" for n, text in enumerate(passages[at], 1)),
            "reference": None,
        }
        for at in asked
    ]
    judge = Judge(teacher, form, in_flight=in_flight, constrained=True)
    grades = await judge.agrade_batch(rows)
    low, high = rubric.scores[0], rubric.scores[-1]
    worth = dict(zip(rubric.steps, rubric.scores, strict=True))
    found: list[bool | None] = [None] * len(answers)
    for at, grade in zip(asked, grades, strict=True):
        if grade.score is not None:
            found[at] = (worth[str(grade.score)] - low) / (high - low) >= FAITHFUL_FROM
    return found


def faithful_figure(faithful: Sequence[bool | None] | None) -> Figure:
    """The share of judged answers that are faithful; why there is none."""
    if faithful is None:
        return nothing(NO_JUDGE)
    known = [one for one in faithful if one is not None]
    return proportion(sum(known), len(known)) if known else nothing("no answer could be judged")


def _citation_figures(
    task: GroundedTask, rows: Sequence[tuple[str | None, Any, Any, Any]], seed: int
) -> dict[str, Figure]:
    counts = []
    for answer, truth, record, shown in rows:
        held = holding(task, truth, record, shown)
        if held is not None:
            cited = citations(answer) if answer is not None else set()
            counts.append((len(cited & held), len(cited), len(held)))
    if not counts:
        return dict.fromkeys(("citation_precision", "citation_recall"), nothing(NOTHING_HELD))
    return {
        "citation_precision": _ratio([(right, cited) for right, cited, _ in counts], seed,
                                     "no answer cites a passage"),
        "citation_recall": _ratio([(right, held) for right, _, held in counts], seed,
                                  "no row has an answer in its passages"),
    }  # fmt: skip


def _ratio(counts: Sequence[tuple[int, int]], seed: int, why: str) -> Figure:
    """The first counts over the second ones, resampled by rows."""
    if not any(below for _, below in counts):
        return nothing(why, len(counts))

    def share(drawn: list[tuple[int, int]]) -> float:
        return sum(right for right, _ in drawn) / max(1, sum(below for _, below in drawn))

    return bootstrap(counts, seed, statistic=share, resamples=RESAMPLES)


def _f1(mine: list[str], theirs: list[str]) -> float:
    if not mine or not theirs:
        return float(mine == theirs)
    return 2 * (Counter(mine) & Counter(theirs)).total() / (len(mine) + len(theirs))


def _text(passage: Any) -> str:
    if not isinstance(passage, Mapping):
        return str(passage)
    title, text = passage.get("title"), str(passage.get("text") or "")
    return f"{title}: {text}" if title else text
