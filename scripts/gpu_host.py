"""The host that the GPU checks run on: what it has, and whether a check can run there."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

TORCH = (2, 6)
TRANSFORMERS = ((5, 10), (5, 23))
"""Oldest and newest minor that these checks were written for."""
PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "deepspeed", "bitsandbytes", "flash_attn",
)  # fmt: skip


class NotRun(Exception):
    """The reason why a check cannot run here."""


def hardware() -> dict[str, Any]:
    """The GPUs that torch sees."""
    try:
        import torch
    except ImportError:
        return {"gpus": []}
    count = torch.cuda.device_count()
    properties = [torch.cuda.get_device_properties(at) for at in range(count)]
    return {
        "gpus": [{"name": one.name, "memory_gb": one.total_memory / 1e9} for one in properties],
        "cuda": torch.version.cuda,
    }


def versions() -> dict[str, str]:
    """Of every package that a check may touch."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def written_for() -> str:
    """The packages that the checks were written for."""
    (oldest, newest), least = TRANSFORMERS, TORCH
    return (
        f"torch >= {least[0]}.{least[1]}, transformers {oldest[0]}.{oldest[1]} to "
        f"{newest[0]}.{newest[1]}"
    )


def need_gpu() -> None:
    """Raises NotRun without a GPU, or with other packages than these checks were written for."""
    for name in ("torch", "transformers", "peft"):
        if find_spec(name) is None:
            raise NotRun(f"the package {name} is absent: pip install 'distill-kit[train]'")
    import torch

    if _minor("torch") < TORCH:
        raise NotRun(f"torch {version('torch')} is older than {TORCH[0]}.{TORCH[1]}")
    oldest, newest = TRANSFORMERS
    if not oldest <= _minor("transformers") <= newest:
        raise NotRun(f"transformers {version('transformers')}; written for {written_for()}")
    if not torch.cuda.is_available():
        raise NotRun("torch sees no CUDA GPU")


def _minor(package: str) -> tuple[int, int]:
    major, minor = version(package).split(".")[:2]
    return int(major), int(minor)


def need_package(name: str, line: str) -> None:
    """Raises NotRun with the line to type."""
    if find_spec(name) is None:
        raise NotRun(f"the package {name} is absent: {line}")
