"""What the student is asked: one template, used for training, asking, exporting and predicting."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from distill.errors import Problem, RecipeError
from distill.recipe.defaults import JSON_PROMPTS, STUDENT_PROMPTS, without_tie
from distill.recipe.expand import expand
from distill.recipe.files import locate, names_a_file, text_of
from distill.recipe.generation import AskField
from distill.recipe.schema import Recipe
from distill.recipe.task import (
    ClassifyTask,
    ExtractTask,
    GroundedTask,
    JudgeAbsoluteTask,
    JudgePairwiseTask,
    Task,
    labels_of,
)
from distill.recipe.templates import Template, as_json
from teachers.protocol import Message

GIVEN = frozenset({"input", "labels", "schema", "scale", "abstain"})
"""Names that a task prompt may use beside the row's fields."""
OPTIONAL = frozenset({"rubric", "reference", "context"})
"""What a row to be judged may have beside what is judged; nothing where it has not."""
JUDGES = (JudgeAbsoluteTask, JudgePairwiseTask)


@dataclass(frozen=True, slots=True)
class TaskPrompt:
    """The conversation that shows a row to the student."""

    task: Task
    template: Template

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> "TaskPrompt":
        """The prompt of a recipe's task: its own, else the default of the kind.

        Raises: RecipeError when the template is wrong or the kind has no default.
        """
        ref = recipe.task.prompt
        if ref is None:
            kind = recipe.task.kind
            if kind not in STUDENT_PROMPTS:
                problem = Problem(
                    found=f"a {kind} task has no default prompt",
                    file=recipe._source or None,
                    key="task.prompt",
                    allowed=", ".join(STUDENT_PROMPTS),
                    fix="Give task.prompt.",
                )
                raise RecipeError(str(problem), [problem])
            json_mode = getattr(recipe.task, "format", None) == "json"
            text = JSON_PROMPTS[kind] if json_mode else STUDENT_PROMPTS[kind]
            if isinstance(recipe.task, JudgePairwiseTask) and "tie" not in recipe.task.scale:
                text = without_tie(text)
            return cls(recipe.task, Template(text, f"the {kind} prompt"))
        name = str(locate(recipe, ref.strip())) if names_a_file(ref) else "task.prompt"
        return cls(recipe.task, Template(text_of(recipe, ref), name))

    @property
    def needs(self) -> frozenset[str]:
        """The fields that a row must have to be shown."""
        names = self.template.names
        used = names - GIVEN
        if isinstance(self.task, JUDGES):
            used -= OPTIONAL
        if isinstance(self.task, GroundedTask) and "passages" in used:
            used = used - {"passages"} | {self.task.passages}
        return used | {self.task.input} if "input" in names else used

    def ask_messages(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """The turns before the student answers.

        Raises: RecipeError when the row lacks a field that the prompt names.
        """
        content = Message("user", self.template.render({**self._given(fields), **fields}))
        system = self.task.system
        return (Message("system", system), content) if system else (content,)

    def conversation(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """The turns with what the student learns to answer.

        Raises: RecipeError when the row lacks a field that `task.completion` names.
        """
        return (*self.ask_messages(fields), Message("assistant", self.completion(fields)))

    def completes(self, fields: Mapping[str, Any]) -> bool:
        """Whether the row holds all that the student would learn to write of it."""
        task = self.task
        if task.completion is None:
            return task.output in fields
        return _completion(task.completion).names <= {*self._given(fields), *fields}

    def completion(self, fields: Mapping[str, Any]) -> str:
        """What the student learns to write; outputs that are not text become JSON."""
        task = self.task
        if task.completion is not None:
            return _completion(task.completion).render({**self._given(fields), **fields})
        answer = _text(fields[task.output])
        if not isinstance(task, JUDGES):
            return answer
        verdict = answer.upper() if isinstance(task, JudgePairwiseTask) else answer
        said = str(fields.get("feedback") or "").strip()
        if task.format == "json":
            told = {"feedback": said} if said else {}
            number = verdict.lstrip("-").isdecimal()
            return as_json({**told, "verdict": int(verdict) if number else verdict})
        return f"{said}\nVERDICT: {verdict}" if said else f"VERDICT: {verdict}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the exported student's folder."""
        task = self.task.model_dump(mode="json", by_alias=True)
        return {"task": task, "template": self.template.text}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TaskPrompt":
        """The prompt that `as_dict` wrote."""
        task: Task = TypeAdapter(Task).validate_python(data["task"])
        return cls(task, Template(data["template"], "the student's prompt"))

    def _given(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.task.input in fields:
            given["input"] = _text(fields[self.task.input])
        if isinstance(self.task, ClassifyTask):
            given["labels"] = self.task.labels
        if isinstance(self.task, ExtractTask):
            given["schema"] = self.task.schema_
        if isinstance(self.task, GroundedTask):
            given["abstain"] = self.task.abstain
            given["passages"] = fields.get(self.task.passages)
        if isinstance(self.task, JUDGES):
            given |= {"scale": labels_of(self.task), **dict.fromkeys(OPTIONAL)}
        return given


def student_prompt(recipe: Recipe) -> TaskPrompt:
    """The prompt that the recipe's student reads: a classifier needs the text alone.

    Its labels are in its head, so that instructions would only take room; a `task.prompt` of the
    recipe's own is kept.
    """
    prompt = TaskPrompt.from_recipe(recipe)
    if recipe.student is None or recipe.student.kind != "classifier":
        return prompt
    task = prompt.task.model_copy(update={"system": None, "answer_pattern": None})
    if recipe.task.prompt is not None:
        return TaskPrompt(task, prompt.template)
    return TaskPrompt(task, Template("{{ input }}", "the classifier's prompt"))


def choice(recipe: Recipe, loss: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Prompt, and fields with probabilities, of a training for which answers are one of a few."""
    classifier = recipe.student is not None and recipe.student.kind == "classifier"
    if not classifier and loss != "verdict":
        return None, []
    return student_prompt(recipe).as_dict(), soft_fields(recipe)


def soft_fields(recipe: Recipe) -> list[str]:
    """Fields whose votes or log-probabilities are a distribution over the labels, best first."""
    generate, labels = expand(recipe).generate, labels_of(recipe.task)
    if labels is None:
        return []
    chosen = [
        name
        for name, field in (generate.fields if generate else {}).items()
        if isinstance(field, AskField)
        and (field.choices in ("label", "labels") or field.choices == labels)
    ]
    return list(dict.fromkeys([recipe.task.output, *chosen]))


def teacher_prompt(recipe: Recipe) -> tuple[str, AskField] | None:
    """The teacher and ask field that make task.output, else the first that chooses a label.

    Of judges of pairs the first that chooses between A and B, which shows a row as it stands.
    """
    generate = expand(recipe).generate
    asks = {
        name: field
        for name, field in (generate.fields if generate else {}).items()
        if isinstance(field, AskField)
    }
    output = asks.get(recipe.task.output)
    if output is not None:
        return output.ask, output
    for field in asks.values():
        if _chooses(recipe.task, field.choices):
            return field.ask, field
    return None


def _chooses(task: Task, choices: str | list[str] | None) -> bool:
    """Whether choices are the outputs of a task; of a judge of pairs also in capitals."""
    labels = labels_of(task)
    if not labels or isinstance(choices, str):
        return bool(labels) and choices in ("label", "labels")
    if isinstance(task, JudgePairwiseTask):
        return {word.casefold() for word in choices or ()} >= {"a", "b"}
    return choices == labels


@lru_cache(maxsize=8)
def _completion(text: str) -> Template:
    return Template(text, "task.completion")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)
