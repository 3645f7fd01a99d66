"""The base of every recipe class: frozen, closed, and keyed by the names that the YAML uses."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A part of a recipe. Unknown keys are errors; values never change after loading."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


def kind_of(default: str) -> Any:
    """A discriminator that reads `kind` and falls back to `default` where it is not given."""

    def read(value: Any) -> Any:
        found = (
            value.get("kind", default)
            if isinstance(value, dict)
            else getattr(value, "kind", default)
        )
        return found if isinstance(found, str) else default

    return read
