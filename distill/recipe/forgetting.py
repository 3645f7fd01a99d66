"""What is measured before and after training, beside the task itself."""

from pydantic import Field

from distill.recipe.model import Model


class Forgetting(Model):
    """A before/after suite: held-out general text, general questions, tasks of lm-eval."""

    text: str | None = None
    """A file of held-out general texts (its column `text`); absent: short texts of ours."""
    questions: bool = True
    """Our own 60 short questions: arithmetic, facts, grammar, instructions."""
    tasks: list[str] = Field(default=[])
    """Tasks or groups of the package lm-eval by name (extra `lm-eval`)."""
    task_folder: str | None = None
    """A folder with task files of one's own, in lm-eval's YAML."""
    limit: int | None = Field(default=None, ge=1)
    """Most documents of each task of lm-eval."""


def suite_of(given: bool | list[str] | Forgetting) -> Forgetting | None:
    """What `evaluate.forgetting` asks for: `true` is the bundled suite, a list names tasks."""
    if isinstance(given, bool):
        return Forgetting() if given else None
    return Forgetting(tasks=given) if isinstance(given, list) else given
