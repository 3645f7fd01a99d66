"""The parts of the report that evaluation adds beside the table of systems."""

from typing import Any

from distill.run.context import Context
from distill.run.forgetting import measure_forgetting

PARTS = ("forgetting",)
"""Keys of report.json."""


def further_parts(context: Context) -> dict[str, Any]:
    """Every key of PARTS, null where the recipe does not ask for it."""
    return {"forgetting": measure_forgetting(context)}
