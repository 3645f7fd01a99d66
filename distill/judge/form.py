"""What a judge was trained to read and write: its prompt, its scale, and the hash of both."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, UsageError
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask, labels_of
from distill.rows.row import digest

FACTS = "distill.json"


@dataclass(frozen=True, slots=True)
class JudgeForm:
    """The prompt template and the scale: they belong to the weights."""

    prompt: TaskPrompt
    max_tokens: int

    @property
    def pairwise(self) -> bool:
        """Whether it compares two answers."""
        return isinstance(self.prompt.task, JudgePairwiseTask)

    @property
    def scale(self) -> tuple[str, ...]:
        """The allowed verdicts, as text."""
        return tuple(labels_of(self.prompt.task) or ())

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """What a judge that writes JSON may write, for servers that hold it to that; else None."""
        if getattr(self.prompt.task, "format", "line") != "json":
            return None
        values = [value.upper() if self.pairwise else value for value in self.scale]
        allowed = [int(v) if v.lstrip("-").isdecimal() else v for v in values]
        return {
            "type": "object",
            "properties": {"feedback": {"type": "string"}, "verdict": {"enum": allowed}},
            "required": ["verdict"],
        }

    @property
    def hash(self) -> str:
        """SHA-256 of template and scale."""
        return digest([self.prompt.template.text, list(self.scale)])

    @classmethod
    def read(cls, folder: Path, *, force: bool = False) -> "JudgeForm":
        """The form that lies beside exported weights.

        Raises: DataError where there is none, where it is no judge's, or where its template is not
        the one that the weights were trained with (unless forced).
        """
        facts = _facts(folder)
        prompt = TaskPrompt.from_dict(facts["prompt"])
        if not isinstance(prompt.task, JudgeAbsoluteTask | JudgePairwiseTask):
            raise _error(
                folder,
                f"this student's task is {prompt.task.kind}",
                "judge_absolute, judge_pairwise",
                "Use distill predict.",
            )
        form = cls(prompt, facts.get("max_tokens") or 512)
        known = facts.get("form_hash")
        if known is not None and known != form.hash and not force:
            raise _error(
                folder / FACTS,
                "the prompt or the scale is not the one that these weights were trained with",
                None,
                "Restore the file, or load with force=True.",
            )
        return form

    def with_template(self, template: str, *, force: bool) -> "JudgeForm":
        """The same form with another template.

        Raises: UsageError unless forced: a judge is only good at the prompt that it learnt.
        """
        changed = TaskPrompt.from_dict({**self.prompt.as_dict(), "template": template})
        form = JudgeForm(changed, self.max_tokens)
        if form.hash != self.hash and not force:
            problem = Problem(
                "another prompt than the one that these weights were trained with",
                fix="Leave the template out, or pass force=True and measure again.",
            )
            raise UsageError(str(problem), [problem])
        return form


def form_hash(prompt: Mapping[str, Any]) -> str:
    """The hash that an export writes beside a judge's weights, from TaskPrompt.as_dict()."""
    return JudgeForm(TaskPrompt.from_dict(prompt), 1).hash


def weights_hash(folder: Path) -> str:
    """SHA-256 over the folder's safetensors files by name: which weights gave a verdict."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        found.update(path.name.encode())
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _facts(folder: Path) -> Any:
    try:
        return json.loads((folder / FACTS).read_text("utf-8"))
    except FileNotFoundError:
        raise _error(
            folder, f"there is no {FACTS}", None, "Name a folder that distill export wrote."
        ) from None
    except (OSError, ValueError) as error:
        raise _error(
            folder / FACTS, f"cannot be read: {error}", None, "Export it again."
        ) from error


def _error(where: Path, found: str, allowed: str | None, fix: str) -> DataError:
    problem = Problem(found, file=str(where), allowed=allowed, fix=fix)
    return DataError(str(problem), [problem])
