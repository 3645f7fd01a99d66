"""A run's signal cache: one identity at a time, earlier ones kept beside it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.signals.identity import Identity

EARLIER = "earlier"


def make_room(folder: Path, identity: "Identity") -> None:
    """Make the folder hold what belongs to this identity, or nothing.

    A cache that was made with other settings or by another teacher moves to `earlier/`; one that
    lies there already comes back.
    """
    from distill.signals.identity import Identity

    try:
        data = json.loads((folder / "manifest.json").read_bytes())
        now = Identity.from_dict(data["identity"]).scope()
    except (OSError, ValueError, KeyError, TypeError):
        now = None
    if now == identity.scope():
        return
    if now is not None:
        _move(folder, folder / EARLIER / now.hex()[:12])
    _move(folder / EARLIER / identity.scope().hex()[:12], folder)


def _move(source: Path, target: Path) -> None:
    """The files of one folder to another; the manifest last, which makes them a cache."""
    files = [path for path in source.glob("*") if path.is_file()] if source.is_dir() else []
    if files:
        target.mkdir(parents=True, exist_ok=True)
    for path in sorted(files, key=lambda one: one.name == "manifest.json"):
        path.replace(target / path.name)
