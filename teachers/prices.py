"""What an answer costs: the recipe's own price first, else a dated table in the package."""

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from teachers.config import Price, TeacherConfig
from teachers.credentials import is_openai, urls_of

PRICE_SHARE = 0.5
"""What a batch costs of the online price. Source: OpenAI's Batch API guide."""
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    text = resources.files("teachers").joinpath("prices.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.safe_load(text)
    return table


def prices_as_of() -> str:
    """The month in which the table's prices were read."""
    return str(_table()["as_of"])


def price_of(config: TeacherConfig) -> Price | None:
    """USD per million tokens of this teacher, None where nobody said."""
    if config.price is not None:
        return config.price
    if config.kind in ("local", "scripted"):
        return Price(input=0.0, output=0.0)
    # The table speaks of OpenAI's own service; the same name elsewhere has another price.
    if config.kind != "openai" or not all(is_openai(url) for url in urls_of(config)):
        return None
    found = _table()["models"].get(_DATED.sub("", config.model))
    return Price(**found) if found else None


def cost_usd(price: Price | None, input_tokens: int, output_tokens: int) -> float | None:
    """What these tokens cost, None without a price."""
    if price is None:
        return None
    return (input_tokens * price.input + output_tokens * price.output) / 1e6
