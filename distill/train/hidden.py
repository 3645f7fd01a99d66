"""The projector of hidden-state matching: inside the model while it is trained, never in its files.

It is a part of the model, so that the engine shards, reduces and steps it like any other weight.
Where a model is saved it is left out; checkpoints hold it in a file of its own.
Shapes: H student hidden, G teacher hidden.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from distill.train.fused_head import PROJECTOR

FILE = "projector.safetensors"


def add_projector(model: Any, width: int, seed: int) -> None:
    """Put a projector from the student's width to the teacher's into the model, after PEFT.

    The same on every rank: it starts as the identity, or with rows of expected length one.
    """
    causal = _causal(model)
    own = int(causal.config.get_text_config().hidden_size)
    projector = nn.Linear(own, width, bias=False, dtype=torch.float32)
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        if own == width:
            projector.weight.copy_(torch.eye(width))
        else:
            projector.weight.copy_(torch.randn(width, own, generator=stream) / own**0.5)
    setattr(causal, PROJECTOR, projector.to(causal.device))
    kept_out = set(causal._keys_to_ignore_on_save or ())
    causal._keys_to_ignore_on_save = kept_out | {f"{PROJECTOR}.weight"}


def save_projector(model: Any, folder: str, state: dict[str, Tensor] | None) -> None:
    """Write a checkpoint's projector; `state` are the gathered weights of a sharded model."""
    projector = getattr(_causal(model), PROJECTOR, None)
    if projector is None or not Path(folder).name.startswith("checkpoint-"):
        return
    ending = f"{PROJECTOR}.weight"
    found = [value for name, value in (state or {}).items() if name.endswith(ending)]
    weight = found[0] if found else projector.weight.detach()
    save_file({"weight": weight.cpu().contiguous()}, Path(folder) / FILE)


def load_projector(model: Any, folder: str) -> None:
    """Take the projector of a checkpoint, where the model has one."""
    projector = getattr(_causal(model), PROJECTOR, None)
    if projector is not None:
        projector.load_state_dict(load_file(Path(folder) / FILE))


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model
