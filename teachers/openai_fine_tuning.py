"""The fine-tuning jobs of the OpenAI API, through the `openai` package."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teachers.credentials import Credentials
from teachers.openai_client import OpenAIClient

MARK = "distill_job"
"""The key in a job's metadata that holds our own name for it."""
_LOST = frozenset({"failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A fine-tuning job as the server tells of it."""

    id: str
    status: str
    """validating_files, queued, running, succeeded, failed or cancelled."""
    model: str | None
    """What it made; None until it has succeeded."""
    trained_tokens: int | None
    fault: str | None

    @property
    def is_lost(self) -> bool:
        """Whether it ended without a model."""
        return self.status in _LOST

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.is_lost or self.status == "succeeded"


class OpenAIFineTuning:
    """The fine-tuning API of one address. Every method may raise TeacherError."""

    def __init__(self, url: str, held: Credentials) -> None:
        self._client = OpenAIClient(url, held)

    async def upload(self, content: bytes, name: str) -> str:
        """The id of a file of training rows, one JSON object with `messages` a line."""
        try:
            file = await self._client.opened().files.create(
                file=(name, content), purpose="fine-tune"
            )
        except Exception as exc:
            raise self._client.failure(exc) from None
        return file.id

    async def create(
        self,
        model: str,
        training_file: str,
        validation_file: str | None,
        mark: str,
        *,
        suffix: str,
        seed: int,
        hyperparameters: Mapping[str, Any],
    ) -> RemoteJob:
        """Start a job that carries our mark."""
        optional: dict[str, Any] = {"validation_file": validation_file} if validation_file else {}
        method = {"type": "supervised", "supervised": {"hyperparameters": dict(hyperparameters)}}
        try:
            made = await self._client.opened().fine_tuning.jobs.create(
                model=model,
                training_file=training_file,
                method=method,  # type: ignore[arg-type]
                metadata={MARK: mark},
                suffix=suffix,
                seed=seed,
                **optional,
            )
        except Exception as exc:
            raise self._client.failure(exc) from None
        return _remote(made)

    async def find(self, mark: str) -> RemoteJob | None:
        """The newest job with our mark that was not lost, None where there is none."""
        try:
            async for one in self._client.opened().fine_tuning.jobs.list(limit=100):
                found = _remote(one)
                if (one.metadata or {}).get(MARK) == mark and not found.is_lost:
                    return found
        except Exception as exc:
            raise self._client.failure(exc) from None
        return None

    async def read(self, job: str) -> RemoteJob:
        """How a job stands."""
        try:
            return _remote(await self._client.opened().fine_tuning.jobs.retrieve(job))
        except Exception as exc:
            raise self._client.failure(exc) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _remote(job: Any) -> RemoteJob:
    error = job.error.message if job.error else None
    return RemoteJob(job.id, job.status, job.fine_tuned_model, job.trained_tokens, error)
