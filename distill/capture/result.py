"""What came of one capture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from distill.signals.cache import SignalCache
from distill.signals.consistency import GoldLoss


@dataclass(frozen=True, slots=True)
class Captured:
    """What one capture has made of its rows."""

    folder: str
    rows: int
    """Asked for, those without a supervised token left out."""
    stored: int
    """Of these, rows that the cache held already."""
    positions: int
    """In the cache now."""
    bytes_per_position: float
    """Of the cache now, its index and frames included."""
    loss: float | None
    """The teacher's mean -log p of the written tokens of the rows made now; None when none was."""
    uniform: float
    """The loss of a model that knows nothing."""
    text_only: Mapping[str, int] = field(default_factory=dict)
    """Rows that have no token signal, counted by the reason."""

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return asdict(self) | {"text_only": dict(self.text_only)}


def captured(
    folder: str,
    *,
    rows: int,
    stored: int,
    loss: GoldLoss,
    text_only: Mapping[str, int] | None = None,
) -> Captured:
    """The result, with what the folder holds now."""
    cache = SignalCache(folder)
    return Captured(
        folder=folder,
        rows=rows,
        stored=stored,
        positions=cache.positions,
        bytes_per_position=cache.data_bytes / max(cache.positions, 1),
        loss=loss.loss if loss.positions else None,
        uniform=loss.uniform,
        text_only=text_only or {},
    )
