"""A fingerprint of loaded weights: equal wherever they lie, on whatever device they are."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor

_WHOLE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_SAMPLED = 1024


def weights_fingerprint(model: Any, source: str) -> str:
    """The digest of a model's configuration and of every parameter.

    Bits are summed as whole numbers, row by row, which is exact in any order; with a sample of the
    single elements that costs one reading of the weights. Parameters that are not in memory
    (offloaded) stand for themselves by name and source.
    """
    found = hashlib.sha256(_configuration(model.config).encode())
    for name, parameter in sorted(model.named_parameters()):
        found.update(f"{name}:{tuple(parameter.shape)}:{parameter.dtype}:".encode())
        if parameter.is_meta:
            revision = getattr(model.config, "_commit_hash", None)
            found.update(f"{source}@{revision}".encode())
        else:
            found.update(_content(parameter.detach()))
    return found.hexdigest()


def _configuration(config: Any) -> str:
    where = {"transformers_version", "use_cache", "dtype", "torch_dtype"}
    data = {
        name: value
        for name, value in config.to_dict().items()
        if name not in where and not name.startswith("_")
    }
    return json.dumps(data, sort_keys=True, default=str)


def _content(parameter: Tensor) -> bytes:
    bits = parameter.contiguous().view(_WHOLE[parameter.element_size()])
    rows = bits.reshape(bits.shape[0] if bits.dim() > 1 else 1, -1)
    sums = rows.sum(dim=1, dtype=torch.int64)
    flat = bits.reshape(-1)
    some = flat[:: max(1, flat.numel() // _SAMPLED)].to(torch.int64)
    return torch.cat([sums, some]).cpu().numpy().tobytes()
