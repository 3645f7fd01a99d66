"""DeepSpeed's settings from the recipe's short form, and what DeepSpeed needs on a CPU.

`auto` values are filled by transformers from its TrainingArguments.
"""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError

STAGES = ("zero0", "zero1", "zero2", "zero3", "zero2_offload", "zero3_offload")
_SHM = "deepspeed_shm_comm"
_SHM_SWITCH = "DISTILL_DEEPSPEED_SHM"


def deepspeed_config(given: str | Mapping[str, Any], *, cpu: bool) -> dict[str, Any]:
    """The configuration of a stage name, a JSON file or a mapping.

    Raises: RecipeError when the file cannot be read.
    """
    if isinstance(given, Mapping):
        config = dict(given)
    elif given in STAGES:
        config = {"zero_optimization": _zero(given)}
    else:
        config = _from_file(given)
    config.setdefault("train_batch_size", "auto")
    config.setdefault("train_micro_batch_size_per_gpu", "auto")
    config.setdefault("gradient_accumulation_steps", "auto")
    config.setdefault("gradient_clipping", "auto")
    if "fp16" not in config:
        config.setdefault("bf16", {"enabled": "auto"})
    zero = dict(config.get("zero_optimization", {}))
    if zero.get("stage") == 3:
        # Without it the final weights would be the empty shards of one process.
        zero.setdefault("stage3_gather_16bit_weights_on_model_save", True)
    config["zero_optimization"] = zero
    if cpu and "optimizer" not in config:
        # The Trainer's own, offloaded or not: DeepSpeed's is compiled at the first start. It also
        # leaves biases and norms out of weight decay, which one named here would take as one group.
        config.setdefault("zero_force_ds_cpu_optimizer", False)
    return config


def _zero(name: str) -> dict[str, Any]:
    stage, _, offload = name.removeprefix("zero").partition("_")
    zero: dict[str, Any] = {"stage": int(stage)}
    if offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if offload and stage == "3":
        zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return zero


def refuse_clashes(config: Mapping[str, Any], meant: Mapping[str, tuple[str, Any]]) -> None:
    """Refuse settings of DeepSpeed that say something else than the recipe.

    `meant` is DeepSpeed's dotted key -> the recipe's key and what follows from it.
    Raises: RecipeError naming every such key of the recipe.
    """
    problems = []
    for name, (key, value) in meant.items():
        written = _at(config, name)
        if written is None or written == "auto" or _same(written, value):
            continue
        problems.append(
            Problem(
                key=key,
                found=f"{value} here, but {name} is {written} in train.deepspeed",
                fix=f'Write {name}: "auto" there, or make both the same.',
            )
        )
    if problems:
        raise RecipeError("train.deepspeed and the recipe say different things", problems)


def _at(config: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return None
        config = config[part]
    return config


def _same(written: Any, value: Any) -> bool:
    numbers = (int, float)
    if isinstance(written, numbers) and isinstance(value, numbers):
        return abs(written - value) <= 1e-9 * max(abs(written), abs(value))
    return bool(written == value)


def is_stage_3(config: Mapping[str, Any] | None) -> bool:
    """Whether parameters are sharded, so that every model loaded meanwhile would be too."""
    return config is not None and config.get("zero_optimization", {}).get("stage") == 3


def single_process_environment() -> None:
    """Name this process the only one of its group where no launcher has named it.

    DeepSpeed asks MPI otherwise, which is not installed.
    """
    if "RANK" in os.environ:
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(
        RANK="0",
        LOCAL_RANK="0",
        WORLD_SIZE="1",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )


def start_on_cpu() -> None:
    """Bring up DeepSpeed's communication over gloo; call it before any model is loaded.

    With `use_cpu` accelerate starts torch.distributed only, and ZeRO-3 then computes its batch
    sizes for one process.
    """
    import deepspeed

    _without_shm_build()
    deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)


def _without_shm_build() -> None:
    """Keep DeepSpeed from compiling its shared-memory all-reduce at the first start.

    The build takes over a minute, and a process killed meanwhile leaves a lock on which every later
    start waits for ever. gloo does the same work.
    """
    if os.environ.get(_SHM_SWITCH) == "1":
        return
    import deepspeed.ops

    compatible = getattr(deepspeed.ops, "__compatible_ops__", None)
    if isinstance(compatible, dict) and _SHM in compatible:
        compatible[_SHM] = False


def _from_file(given: str) -> dict[str, Any]:
    path = Path(given)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise _wrong(f"{given!r} is neither a stage nor a readable JSON file ({exc})") from exc
    if not isinstance(config, dict):
        raise _wrong(f"{given} holds no JSON object")
    return config


def _wrong(found: str) -> RecipeError:
    allowed = f"{', '.join(STAGES)}, a JSON file or a mapping"
    problem = Problem(key="train.deepspeed", found=found, allowed=allowed)
    return RecipeError("train.deepspeed is wrong", [problem])
