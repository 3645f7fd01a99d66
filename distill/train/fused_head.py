"""The loss inside the student's output layer: weights, state dict and saving stay as they are.

The class of the model and of its output layer are swapped, after PEFT, for subclasses that know one
more keyword. Called with targets, the model runs its backbone and hands the supervised states to
the output layer, which returns the loss; sharded weights are gathered and reduced by the hooks of
these very modules. Called without, both are what they were.
Shapes: B rows, T tokens, H hidden, N supervised tokens, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from distill.errors import Problem, RecipeError
from distill.losses.fused_loss import (
    DenseTargets,
    FusedPlan,
    FusedTerms,
    HeadTargets,
    Part,
    fused_loss,
    token_logp,
)
from distill.losses.hidden import hidden_distance

KEYWORD = "distill_targets"
PROJECTOR = "distill_projector"
"""Where a model holds the projector of its hidden states, while it is trained."""
_PLAN, _OWN_FORWARD, _OWN_CLASS = "distill_plan", "distill_own_forward", "distill_own_class"
_GATHERED = "distill_gathered"
_SCALES = ("logit_scale", "lm_head_multiplier", "output_multiplier")
_DIVISORS = ("logits_scaling",)
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""What configurations call the things that a model does to its logits; see `self_test`."""


@dataclass(frozen=True, slots=True)
class WrittenTokens:
    """Targets of which only the log-probabilities are wanted, one for each."""

    labels_N: Tensor
    keep_BT: Tensor
    """Which positions of a batch they are, its last column left out."""


@dataclass(frozen=True, slots=True)
class FusedHead:
    """A model whose classes were swapped; `remove` swaps them back."""

    swapped: tuple[tuple[Any, type], ...]

    @classmethod
    def install(cls, model: Any, plan: FusedPlan | None = None) -> "FusedHead":
        """Put the loss into a causal model, bare or under PEFT, before any engine wraps it.

        Raises: RecipeError naming what its output layer is and cannot be.
        """
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        if causal.base_model is causal or getattr(causal.config, "is_encoder_decoder", False):
            raise _wrong(f"{type(causal).__name__} is not a causal model with an output layer")
        head = _innermost(causal.get_output_embeddings())
        for module in (causal, head):  # installed before: start from its own class
            module.__class__ = getattr(type(module), _OWN_CLASS, type(module))
        transform = _transform(causal.config, plan or FusedPlan())
        swapped = tuple((module, type(module)) for module in (causal, head))
        head.__class__ = _subclass(type(head), _head_forward(head))
        causal.__class__ = _subclass(type(causal), _causal_forward)
        setattr(head, _PLAN, transform)
        return cls(swapped)

    def remove(self) -> None:
        """Give model and output layer their own classes back."""
        for module, kind in self.swapped:
            module.__class__ = kind
        delattr(self.swapped[1][0], _PLAN)


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """Supervised tokens, and the tokens with which the allowed answers go on."""

    text: HeadTargets
    at_M: Tensor
    """Positions of a batch, counted line after line, its last column left out."""
    ids_MK: Tensor
    """What may stand behind each of them, filled up with any token."""

    @property
    def keep_BT(self) -> Tensor | None:
        """Where the supervised tokens are."""
        return self.text.keep_BT


def head_terms(model: Any, inputs: Mapping[str, Tensor], targets: HeadTargets) -> FusedTerms:
    """The sums over the supervised tokens of a batch; `model` is the installed one or a wrapper.

    Shapes: inputs (B, T), targets N = the True positions of keep_BT; returns three scalars.
    Units: nats, summed.
    Source: distill.losses.objective.
    """
    return FusedTerms(*model(**model_inputs(inputs), **{KEYWORD: targets}))


def head_logp(model: Any, inputs: Mapping[str, Tensor], targets: WrittenTokens) -> Tensor:
    """The log-probability of each written token, differentiable; `model` as for `head_terms`.

    Shapes: inputs (B, T), returns (N,).
    Units: nats.
    """
    found: Tensor = model(**model_inputs(inputs), **{KEYWORD: targets})[0]
    return found


def head_answers(
    model: Any, inputs: Mapping[str, Tensor], targets: AnswerTokens
) -> tuple[FusedTerms, Tensor]:
    """The sums over the supervised tokens, and log q of the answers' tokens, differentiable.

    Shapes: inputs (B, T), returns three scalars and (M, K).
    Units: nats.
    """
    *sums, logp_MK = model(**model_inputs(inputs), **{KEYWORD: targets})
    return FusedTerms(*sums), logp_MK


def model_inputs(inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """What of a batch the model reads.

    Packed rows have positions and no mask, and no cache either: either one would have transformers
    treat a line as one text.
    """
    names = ("input_ids", "attention_mask", "position_ids")
    return {name: inputs[name] for name in names if name in inputs} | {"use_cache": False}


def _causal_forward(self: Any, *args: Any, **given: Any) -> Any:
    targets = given.pop(KEYWORD, None)
    if targets is None:
        return getattr(type(self), _OWN_FORWARD)(self, *args, **given)
    told = {name: value for name, value in given.items() if value is not None}
    states_BTH = self.base_model(*args, **told)[0]
    before_BTH = states_BTH[:, :-1]
    x = before_BTH[targets.keep_BT]
    if isinstance(targets, AnswerTokens):
        width = before_BTH.shape[1]
        x = torch.cat([x, before_BTH[targets.at_M // width, targets.at_M % width]])
    head = self.get_output_embeddings()
    _gather_with(head)
    # Nothing that the model does behind its output layer may touch the loss: not called.
    found = head(x, **{KEYWORD: targets})
    if not isinstance(targets, HeadTargets) or targets.hidden is None:
        return found
    distance = _hidden_distance(getattr(self, PROJECTOR), x, targets)
    weighted, *others = found
    return (weighted + targets.hidden.weight * distance, *others, distance.detach())


def _hidden_distance(projector: Any, x: Tensor, targets: HeadTargets) -> Tensor:
    """Over the rows that the teacher speaks of; a batch without any still calls the projector."""
    assert targets.hidden is not None
    teacher = targets.teacher
    told = x[:0]
    if isinstance(teacher, DenseTargets):
        told = x if targets.signal_N is None else x[targets.signal_N]
    with torch.autocast(x.device.type, enabled=False):
        ours = projector(told.float())
        theirs = teacher.hidden_MH if isinstance(teacher, DenseTargets) else ours.detach()
        theirs = theirs.to(ours.device)
        return hidden_distance(ours, theirs, measure=targets.hidden.measure).sum()


def _linear_forward(self: Any, x: Tensor, *args: Any, **given: Any) -> Any:
    targets = given.pop(KEYWORD, None)
    if targets is None:
        return getattr(type(self), _OWN_FORWARD)(self, x, *args, **given)
    return _computed(self, [Part(x, self.weight)], self.bias, targets)


def _lora_forward(self: Any, x: Tensor, *args: Any, **given: Any) -> Any:
    targets = given.pop(KEYWORD, None)
    if targets is None:
        return getattr(type(self), _OWN_FORWARD)(self, x, *args, **given)
    parts = [Part(x, self.base_layer.weight)]
    if not (self.disable_adapters or self.merged):
        parts += [_adapter(self, name, x) for name in self.active_adapters if name in self.lora_A]
    return _computed(self, parts, self.base_layer.bias, targets)


def _gather_with(head: Any) -> None:
    """Have ZeRO-3 gather the weights that a LoRA layer reads of its parts with the layer itself.

    The parts are not called, so their own hooks do not run, and a weight that is on its way to them
    (prefetched) would still be empty.
    """
    if not hasattr(head, "base_layer") or getattr(head, _GATHERED, False):
        return
    parts = (head.base_layer, *head.lora_B.values())
    sharded = [p for part in parts for p in part.parameters(recurse=False) if hasattr(p, "ds_id")]
    if not sharded:
        return
    import deepspeed

    for parameter in sharded:
        deepspeed.zero.register_external_parameter(head, parameter)
    setattr(head, _GATHERED, True)


def _computed(head: Any, parts: Sequence[Part], bias_V: Tensor | None, targets: Any) -> Any:
    """A plain tuple: what wraps the model rebuilds the outputs that it looks through."""
    plan = getattr(head, _PLAN)
    if isinstance(targets, WrittenTokens):
        return (token_logp(parts, bias_V, targets.labels_N[:, None], plan)[:, 0],)
    if isinstance(targets, AnswerTokens):
        rows = len(targets.text.labels_N)
        text = [Part(part.x_NH[:rows], part.weight_VH) for part in parts]
        told = [Part(part.x_NH[rows:], part.weight_VH) for part in parts]
        sums = fused_loss(text, bias_V, targets.text, plan)[:3]
        return (*sums, token_logp(told, bias_V, targets.ids_MK, plan))
    return tuple(fused_loss(parts, bias_V, targets, plan)[:3])


def _adapter(layer: Any, name: str, x: Tensor) -> Part:
    """The addition scaling B A x, as B times something narrow; autograd does A."""
    down = layer.lora_A[name]
    with torch.autocast(x.device.type, enabled=False):
        return Part(down(x.to(down.weight.dtype)) * layer.scaling[name], layer.lora_B[name].weight)


def _head_forward(head: Any) -> Any:
    """The forward for this kind of output layer.

    Raises: RecipeError for one whose logits we would get wrong.
    """
    if type(head) is nn.Linear:
        return _linear_forward
    kind = f"{type(head).__module__}.{type(head).__name__}"
    if kind != "peft.tuners.lora.layer.Linear" or type(head.base_layer) is not nn.Linear:
        inner = getattr(head, "base_layer", head)
        raise _wrong(f"the output layer is a {type(inner).__name__} ({kind})")
    if head.lora_variant:
        raise _wrong("the output layer has DoRA or another variant of LoRA on it")
    if any(getattr(drop, "p", 0.0) > 0 for drop in head.lora_dropout.values()):
        raise _wrong("the LoRA on the output layer has a dropout")
    if any(up.bias is not None for up in head.lora_B.values()):
        raise _wrong("the LoRA on the output layer has a bias")
    return _lora_forward


def _innermost(head: Any) -> Any:
    """The output layer itself, where PEFT trains a copy of it the copy."""
    if head is None:
        raise _wrong("the model names no output layer")
    if type(head).__name__ != "ModulesToSaveWrapper":
        return head
    return head.modules_to_save[head.active_adapters[0]]


def _subclass(kind: Any, forward: Any) -> type:
    """`kind` with another forward. It keeps its name, which is written into config.json."""
    names = {
        "forward": wraps(kind.forward)(forward),
        _OWN_FORWARD: kind.forward,
        _OWN_CLASS: kind,
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
    }
    return type(kind.__name__, (kind,), names)


def _transform(config: Any, plan: FusedPlan) -> FusedPlan:
    text = config.get_text_config()
    scale = plan.scale
    for name in _SCALES:
        scale *= _number(text, name) or 1.0
    for name in _DIVISORS:
        scale /= _number(text, name) or 1.0
    cap = next((found for name in _CAPS if (found := _number(text, name))), plan.softcap)
    return FusedPlan(plan.schedule, plan.budget_bytes, scale, cap)


def _number(config: Any, name: str) -> float | None:
    value = getattr(config, name, None)
    return float(value) if isinstance(value, int | float) else None


def _wrong(found: str) -> RecipeError:
    problem = Problem(
        key="student",
        found=f"{found}, in which the loss cannot be computed",
        allowed="a plain linear output layer, or plain LoRA on it",
        fix="Take the output layer (lm_head) out of student.lora.target_modules, set "
        "student.lora.dropout: 0, or train another student.",
    )
    return RecipeError("this student's output layer is not supported", [problem])
