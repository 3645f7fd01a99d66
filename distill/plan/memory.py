"""Memory of one training device from the shape of the models alone: no weight is loaded.

Bytes per parameter of a DeepSpeed training in bfloat16 are those of its own estimator
(deepspeed.runtime.zero.stage3 and stage_1_and_2): 2 for the weights, 2 for their gradients, and 16
for gradients, master weights and two moments of AdamW in float32. Without DeepSpeed weights stay in
float32 and are computed with in bfloat16.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from distill.plan.shape import Shape

Stage = Literal["none", "zero0", "zero1", "zero2", "zero3"]
STAGES: tuple[Stage, ...] = ("none", "zero0", "zero1", "zero2", "zero3")

FOUR_BIT = 4.5 / 8
"""Bytes of a 4-bit weight: 4 bits and one float32 per block of 64 (Dettmers et al. 2023,
arXiv:2305.14314, section 3, without double quantisation)."""
HEAD_BYTES, CPU_HEAD_BYTES = 1 << 30, 512 << 20
"""Budget of the fused head's chunks of logits (distill.losses.fused_loss)."""
BUFFERS = 3
"""Buffers of the size of a chunk that the loss holds at a time."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a student is trained."""

    method: Literal["full", "lora", "qlora"] = "full"
    rank: int = 16
    targets: str | tuple[str, ...] = "all-linear"
    stage: Stage = "none"
    devices: int = 1
    rows: int = 1
    """Rows of one forward pass on one device."""
    length: int = 2048
    """Tokens of a row."""
    checkpointing: bool = False
    signal: str = "text"
    k: int = 64
    offload_optimizer: bool = False
    offload_weights: bool = False
    half: bool = True
    """Computed with in bfloat16; false on a CPU, where everything is float32."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    head: int
    """The chunks of logits that the loss walks through, and the states it reads."""
    teacher: int
    """A teacher loaded beside the student, and what its signal takes."""

    @property
    def total(self) -> int:
        """All of it; allocators and CUDA itself take about 1 to 2 GiB more."""
        return sum(asdict(self).values())

    def as_dict(self) -> dict[str, int]:
        """The parts and their total."""
        return {**asdict(self), "total": self.total}


def training_memory(
    shape: Shape, setting: Setting, teacher: Shape | None = None, teacher_bits: int = 16
) -> Memory:
    """Memory of one device while it trains. Units: bytes.

    `teacher` is given for a signal that a live local teacher gives.
    """
    weights, gradients, optimizer = model_states(shape, setting)
    tokens = setting.rows * setting.length
    wide = 2 if setting.half else 4
    budget = HEAD_BYTES if setting.half else CPU_HEAD_BYTES
    head = min(budget, BUFFERS * 4 * tokens * shape.vocab) + tokens * shape.hidden * 4
    beside = 0
    if setting.signal in ("topk", "sampled"):
        beside = tokens * setting.k * 8
    if teacher is not None:
        layer = 4 * teacher.hidden + 3 * teacher.intermediate
        beside += weights_memory(teacher, teacher_bits) + tokens * layer * wide
    return Memory(weights, gradients, optimizer, activations(shape, setting), head, beside)


def model_states(shape: Shape, setting: Setting) -> tuple[int, int, int]:
    """Weights, gradients and optimiser of one device. Units: bytes."""
    everything = shape.parameters
    if setting.method == "full":
        return _states(everything, shape.largest_module, setting)
    frozen = everything * (2 if setting.half else 4)
    if setting.method == "qlora":
        frozen = weights_memory(shape, 4)
    targets = setting.targets if isinstance(setting.targets, str) else list(setting.targets)
    adapter = shape.lora(setting.rank, targets)
    weights, gradients, optimizer = _states(adapter, 0, setting)
    if setting.stage == "zero3":
        frozen = frozen // setting.devices + 4 * shape.largest_module
    return weights + frozen, gradients, optimizer


def _states(trained: int, largest: int, setting: Setting) -> tuple[int, int, int]:
    each = trained / setting.devices
    if setting.stage == "none" or not setting.half:
        # Weights in float32; autocast keeps a bfloat16 copy of each over a forward pass.
        copy = 2 * trained if setting.half else 0
        return 4 * trained + copy, 4 * trained, 8 * trained
    held = 0.0 if setting.offload_optimizer else 1.0
    match setting.stage:
        case "zero0":
            return 6 * trained, 6 * trained, 8 * trained
        case "zero1":
            return (
                int(2 * trained + 4 * each * held),
                int(2 * trained + 4 * each * held),
                int(8 * each * held),
            )
        case "zero2":
            return int(2 * trained + 4 * each * held), int(6 * each * held), int(8 * each * held)
        case "zero3":
            resident = 0.0 if setting.offload_weights else 2 * each
            # The largest module is gathered whole, in two copies (its own and a prefetched one).
            weights = 4 * largest + resident + 4 * each * held
            return int(weights), int(4 * each * held), int(8 * each * held)
    raise ValueError(f"unknown stage {setting.stage!r} (allowed: {', '.join(STAGES)})")


def activations(shape: Shape, setting: Setting) -> int:
    """What the backward pass needs of the forward pass. Units: bytes.

    Counted for a pre-norm decoder with fused attention (no T x T matrix is held): inputs of both
    norms and their float32 copies, of the projections, the rotated q, k, v, and four tensors of
    the gated feed-forward part. The form of the count is that of Korthikanti et al. 2022,
    arXiv:2205.05198, section 4.
    """
    wide = 2 if setting.half else 4
    hidden = shape.hidden
    attention = 2 * shape.heads * shape.head_dim + 2 * shape.kv_heads * shape.head_dim
    norms = 2 * (2 * wide + 4) * hidden if setting.half else 2 * 2 * wide * hidden
    feed = (4 if shape.gated else 2) * shape.intermediate * wide
    layer = norms + attention * wide + 4 * shape.heads + feed
    tokens = setting.rows * setting.length
    if setting.checkpointing:
        return tokens * (shape.layers * hidden * wide + layer)
    return tokens * (shape.layers * layer + hidden * wide)


def weights_memory(shape: Shape, bits: int = 16) -> int:
    """A model that is only read, in 16 or 4 bits; ends and norms stay in 16. Units: bytes."""
    if bits == 16:
        return 2 * shape.parameters
    return int(FOUR_BIT * shape.in_linears) + 2 * (shape.parameters - shape.in_linears)


def by_stage(
    shape: Shape, setting: Setting, teacher: Shape | None = None, teacher_bits: int = 16
) -> dict[str, int]:
    """Total of every ZeRO stage under the same setting. Units: bytes."""
    return {
        stage: training_memory(shape, replace(setting, stage=stage), teacher, teacher_bits).total
        for stage in STAGES
    }


def gib(size: float) -> str:
    """A size for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"


def table(shapes: Mapping[str, Shape]) -> str:
    """The README's table: what each shape takes to train and to read, per device, in GiB."""
    base = Setting(length=2048, checkpointing=True)
    ways = (
        replace(base, method="full", stage="zero3", devices=8),
        replace(base, method="lora"),
        replace(base, method="qlora"),
    )
    lines = [
        "| GiB | weights | full, 8 x ZeRO-3 | LoRA r=16 | QLoRA r=16 | read, bf16 | read, 4-bit |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, shape in shapes.items():
        sizes = [training_memory(shape, way).total for way in ways]
        sizes += [weights_memory(shape, 16), weights_memory(shape, 4)]
        cells = " | ".join(f"{size / 2**30:.1f}" for size in sizes)
        lines.append(f"| {name} | {shape.parameters / 1e9:.2f}B | {cells} |")
    return "\n".join(lines)
