"""What tells other tools how to load a dataset folder."""

from collections.abc import Sequence
from typing import Any

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_SHAPES: dict[str, dict[str, Any]] = {
    "messages": {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _TAGS},
    "preference": {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "prompt", "chosen": "chosen", "rejected": "rejected"},
        "tags": _TAGS,
    },
    "text": {"columns": {"prompt": "text"}},
}


def dataset_info(splits: Sequence[str], shape: str) -> dict[str, Any]:
    """LLaMA-Factory's description of each split; shape is `messages`, `preference` or `text`."""
    return {name: {"file_name": f"{name}.jsonl", **_SHAPES[shape]} for name in splits}


def with_front_matter(card: str, splits: Sequence[str]) -> str:
    """The card, led by which file is which split: else loaders add JSONL and Parquet up.

    A card that has front matter already is left as it is. Nothing is said of a licence.
    """
    if card.startswith("---\n"):
        return card
    files = "".join(f"      - split: {name}\n        path: {name}.jsonl\n" for name in splits)
    front = f"---\nconfigs:\n  - config_name: default\n    data_files:\n{files}---\n"
    return f"{front}\n{card}" if card.endswith("\n") else f"{front}\n{card}\n"
