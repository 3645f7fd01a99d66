"""Signals captured by workers that each load the teacher; the cache is written by the command."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from distill.capture.local import Here
from distill.capture.reading import Limits
from distill.run.on_ray.cluster import Cluster
from distill.signals.identity import Identity
from distill.signals.settings import CaptureSettings
from distill.signals.types import Signal, SignalRow
from teachers.local_model import LocalModel


@dataclass(frozen=True, slots=True)
class Facts:
    """What of a teacher decides how rows are put together."""

    source: str
    context: int | None
    device: torch.device


class Scorers:
    """A teacher that workers read, one on each GPU, or on each node where there is none.

    `load` is how they load it (`LocalModel.load`): from a folder that all nodes see, or the hub.
    """

    def __init__(self, cluster: Cluster, load: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._load = dict(load)
        self._facts: Facts | None = None

    @property
    def limits(self) -> Limits:
        """What decides how rows are put together; known with the identity."""
        assert self._facts is not None
        return self._facts

    def identity(self, tokenizer: Any, settings: CaptureSettings) -> Identity:
        """Whose signals these would be, as a worker says that has loaded the teacher.

        Raises: RecipeError when the student's tokenizer is not the teacher's.
        """
        look = partial(_looked_at, self._load)
        [(_, found)] = self._cluster.mapped(look, [(tokenizer, settings)], workers=1)
        self._facts, identity = found
        return identity

    def scored(
        self, identity: Identity, batches: Sequence[Sequence[SignalRow]]
    ) -> Iterator[list[Signal]]:
        """Yields the signals of the rows of each batch, batch after batch."""
        workers = self._cluster.gpus or self._cluster.nodes
        waiting: dict[int, list[Signal]] = {}
        due = 0
        score = Scoring(self._load, identity)
        for at, signals in self._cluster.mapped(score, batches, workers=workers):
            waiting[at] = signals
            while due in waiting:
                yield waiting.pop(due)
                due += 1


@dataclass(slots=True)
class Scoring:
    """Scores batches, in a worker that keeps the teacher for the next ones."""

    load: Mapping[str, Any]
    identity: Identity
    here: Here | None = field(default=None, init=False)

    def __call__(self, batch: Sequence[SignalRow]) -> list[Signal]:
        """The signals of the rows, in order."""
        if self.here is None:
            self.here = Here(LocalModel.load(**self.load))
        return next(self.here.scored(self.identity, [batch]))


def _looked_at(
    load: Mapping[str, Any], asked: tuple[Any, CaptureSettings]
) -> tuple[Facts, Identity]:
    teacher = LocalModel.load(**load)
    facts = Facts(teacher.source, teacher.context, teacher.device)
    return facts, Here(teacher).identity(*asked)
