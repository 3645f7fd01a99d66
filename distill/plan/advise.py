"""Which method, and why: walks the decision tree of `tree.yaml` and keeps every reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

from distill.plan.facts import DEFAULTS, Facts
from distill.recipe.yaml_file import parse_yaml

Answerer = Callable[[str, str, str], Any]
"""(fact, question, why) -> value, or None to take the usual one."""

FEW_GOLD = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One question that was met on the way."""

    question: str
    why: str
    fact: str
    answer: Any
    assumed: bool
    """Nobody said; the usual answer was taken."""
    reason: str | None


@dataclass(frozen=True, slots=True)
class Advice:
    """A ladder of methods to try in order."""

    facts: Facts
    path: Sequence[Step]
    ladder: Sequence[str]
    warnings: Sequence[str]

    @property
    def reasons(self) -> list[str]:
        """Why the first rung stands first."""
        return [step.reason for step in self.path if step.reason]


@cache
def tree() -> Mapping[str, Any]:
    """The decision tree, as data."""
    text = (files("distill.plan") / "tree.yaml").read_text("utf-8")
    found: Mapping[str, Any] = parse_yaml(text, "tree.yaml").data
    return found


def advise(facts: Facts, answer: Answerer | None = None) -> Advice:
    """Walks the tree from its start to a ladder.

    Args:
        facts: What is known.
        answer: Asked for what is not known; absent, the usual answers are taken and marked.
    """
    known = facts
    path: list[Step] = []
    name, warned = tree()["start"], list[str]()
    while True:
        question = tree()["questions"][name]
        fact = question["fact"]
        value = getattr(known, fact)
        if value is None and answer is not None:
            value = answer(fact, question["ask"], question["why"])
            known = _told(known, fact, value)
        assumed = value is None
        if value is None:
            value = getattr(DEFAULTS, fact)
        branch = next(one for one in question["branches"] if _fits(one, value))
        path.append(Step(question["ask"], question["why"], fact, value, assumed, branch.get("say")))
        warned += branch.get("warn", [])
        if "ladder" in branch:
            return Advice(known, path, branch["ladder"], _warnings(known, warned))
        name = branch["then"]


def _told(facts: Facts, name: str, value: Any) -> Facts:
    """The facts with an answer: costs, starters and warnings follow from it too."""
    if value is None or name not in {one.name for one in fields(Facts)}:
        return facts
    return replace(facts, **{name: value})


def _fits(branch: Mapping[str, Any], value: Any) -> bool:
    if "is" in branch:
        return bool(branch["is"] == value)
    return bool(value < branch["below"]) if "below" in branch else bool(value >= branch["from"])


def _warnings(facts: Facts, named: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(named))
    if facts.gold_rows == 0 or (facts.gold_rows is None and not facts.labelled_rows):
        names.append("no_gold")
    elif facts.gold_rows is not None and facts.gold_rows < FEW_GOLD:
        names.append("few_gold")
    if facts.hallucination == "fatal":
        names.append("hallucination")
    if facts.tasks == "many":
        names.append("many_tasks")
    return [tree()["warnings"][name] for name in names]
