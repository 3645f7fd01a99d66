"""The rungs below training: the same task asked with examples, with steps, or with found passages.

Each rung is a prompt around the task's own, so that who is asked and how answers are read stay the
same. Few-shot: Brown et al. 2020, arXiv:2005.14165; chain of thought: Kojima et al. 2022,
arXiv:2205.11916; retrieval: Lewis et al. 2020, arXiv:2005.11401.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.recipe.prompts import JUDGES, TaskPrompt
from distill.recipe.strategies.rationale import REASON
from distill.recipe.task import GroundedTask
from distill.rows.row import digest
from teachers.protocol import Message

BREAK = "\n\n"
PASSAGES = "passages"
PASSAGES_BEFORE = "Passages that may help:\n\n"
JUDGE_STEPS = "\n\nThink step by step before the last line."


@dataclass(frozen=True, slots=True)
class FewShot(TaskPrompt):
    """The task's prompt behind examples of it."""

    examples: tuple[tuple[Message, ...], ...] = ()
    """Whole conversations, as `TaskPrompt.conversation` writes them."""
    turns: bool = True
    """Examples are earlier turns; else one text, for models that only continue a text."""

    def ask_messages(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """The examples, then the question; a system message stays in front."""
        asked = TaskPrompt.ask_messages(self, fields)
        system, question = asked[:-1], asked[-1].content
        shown = [(turns[-2].content, turns[-1].content) for turns in self.examples]
        if self.turns:
            spoken = [
                turn
                for one, answer in shown
                for turn in (Message("user", one), Message("assistant", answer))
            ]
            return (*system, *spoken, asked[-1])
        texts = [f"{_open(one)}{answer}" for one, answer in shown]
        return (*system, Message("user", BREAK.join([*texts, _open(question)])))


@dataclass(frozen=True, slots=True)
class ChainOfThought(TaskPrompt):
    """The task's prompt with the wish to think first and to mark the answer."""

    def ask_messages(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """The question with the wish behind it."""
        asked = TaskPrompt.ask_messages(self, fields)
        wish = JUDGE_STEPS if isinstance(self.task, JUDGES) else REASON
        return (*asked[:-1], Message("user", asked[-1].content.rstrip() + wish))


@dataclass(frozen=True, slots=True)
class WithPassages(TaskPrompt):
    """The task's prompt below passages that a row was given; grounded prompts show them anyway."""

    def ask_messages(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """The passages, numbered, then the question."""
        asked = TaskPrompt.ask_messages(self, fields)
        found = fields.get(PASSAGES) or []
        if isinstance(self.task, GroundedTask) or not found:
            return asked
        listed = BREAK.join(f"[{n}] {text}" for n, text in enumerate(found, 1))
        text = f"{PASSAGES_BEFORE}{listed}{BREAK}{asked[-1].content}"
        return (*asked[:-1], Message("user", text))


def with_passages(
    task: Any, records: Sequence[Mapping[str, Any]], find: Callable[[str], Sequence[str]]
) -> list[dict[str, Any]]:
    """The rows with the passages that a search finds for their input, in place of their own."""
    name = task.passages if isinstance(task, GroundedTask) else PASSAGES
    return [{**row, name: list(find(str(row.get(task.input, ""))))} for row in records]


def choose_examples(
    candidates: Sequence[tuple[str, Mapping[str, Any]]],
    label: Callable[[Mapping[str, Any]], Hashable],
    count: int,
    seed: int,
) -> list[tuple[str, Mapping[str, Any]]]:
    """So many of (id, row), drawn by seed, labels in turn; fewer are the first of more.

    Args:
        candidates: Whom to draw from.
        label: What is to be level among the examples; one value where nothing is.
        count: How many, at most.
        seed: Decides the order.
    """
    order = sorted(candidates, key=lambda one: digest([seed, "few_shot", one[0]]))
    groups: dict[Hashable, list[tuple[str, Mapping[str, Any]]]] = {}
    for one in order:
        groups.setdefault(label(one[1]), []).append(one)
    chosen: list[tuple[str, Mapping[str, Any]]] = []
    while len(chosen) < min(count, len(order)):
        for group in groups.values():
            if group and len(chosen) < count:
                chosen.append(group.pop(0))
    return chosen


def _open(question: str) -> str:
    """A question that an answer can follow on the same line, or on a line of its own."""
    return question if question[-1:].isspace() else f"{question}\n"
