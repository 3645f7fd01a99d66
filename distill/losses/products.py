"""Matrix products whose sums are float32 (float64 for float64), whatever their factors are."""

import torch
from torch import Tensor

SUMS_WIDE = "dtype" in torch.ops.aten.mm.overloads()  # type: ignore[no-untyped-call]
"""Whether torch has products of half-precision factors whose sums stay float32: from 2.8 on."""


def product(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """The product left @ right with sums in float32 (float64 if `left` is)."""
    wide = wide_type(left)
    if right.dtype == wide:
        return torch.mm(left.to(wide), right, out=out)
    # A half-precision weight on a GPU: half-precision factors, sums and result in float32.
    found = torch.mm(left.to(right.dtype), right, out_dtype=wide)
    return found if out is None else out.copy_(found)


def factor(weight_VH: Tensor, wide: torch.dtype) -> Tensor:
    """The weight as the products want it: a CPU and an older torch sum float32 factors only."""
    half = weight_VH.dtype in (torch.bfloat16, torch.float16)
    return weight_VH if half and weight_VH.is_cuda and SUMS_WIDE else weight_VH.to(wide)


def wide_type(tensor: Tensor) -> torch.dtype:
    """The type that sums of this tensor's products have."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
