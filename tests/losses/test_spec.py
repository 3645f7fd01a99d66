"""The descriptions of the losses, their classes and the functions behind them belong together."""

import subprocess
import sys
from typing import get_args

import pytest
from torch import Tensor

from distill.losses.core import LOSSES
from distill.losses.reference import DIVERGENCES
from distill.losses.spec import SIGNALS, SPECS, gradient_note, refuse, warnings
from distill.losses.targets import SampledTargets, SparseTargets, TokenTargets, VerdictTargets
from distill.recipe.loss_pairs import REFUSED
from distill.recipe.training import (
    JSD,
    ForwardKL,
    Loss,
    ReverseKL,
    SampledReverseKL,
    SkewReverseKL,
    VerdictLoss,
)

TARGETS = {
    "dense": Tensor,
    "topk": SparseTargets,
    "sampled": SampledTargets,
    "token": TokenTargets,
}


def classes():
    union = get_args(get_args(Loss)[0])
    found = [get_args(member)[0] for member in union]
    return {get_args(one.model_fields["kind"].annotation)[0]: one for one in found}


def test_every_loss_is_described_and_computed():
    """Schema, descriptions, functions and rules have the same kinds."""
    kinds = set(classes())
    assert kinds == SPECS.keys() == LOSSES.keys() == REFUSED.keys()
    assert all(spec.kind == kind for kind, spec in SPECS.items())
    assert DIVERGENCES.keys() == {kind for kind, forms in LOSSES.items() if Tensor in forms}


@pytest.mark.parametrize("kind", SPECS)
def test_what_is_refused_is_what_no_function_computes(kind):
    """A pair without a function is refused with a reason, and the other way round."""
    loss = classes()[kind](kind=kind)
    for signal, targets in TARGETS.items():
        if kind != "verdict":
            assert (refuse(loss, signal) is None) == (targets in LOSSES[kind]), signal
    if kind == "verdict":
        assert set(LOSSES[kind]) == {VerdictTargets}


@pytest.mark.parametrize("kind", SPECS)
def test_descriptions_are_plain_and_sourced(kind):
    """ASCII only, and every loss names where it comes from."""
    spec = SPECS[kind]
    for text in (spec.formula, spec.direction, spec.gradient, spec.range, spec.source):
        assert text
        assert text.isascii()
    assert "arXiv" in spec.source
    assert classes()[kind].__doc__


def test_temperatures_that_cannot_be_had_are_refused():
    """A tail, draws and written tokens are those of temperature 1, unless a normaliser is kept."""
    warm = ForwardKL(temperature=2.0)
    assert "log-normaliser" in refuse(warm, "topk")
    assert "log-normaliser" in refuse(warm, "topk", temperatures=[3.0])
    assert refuse(warm, "topk", temperatures=[2.0]) is None
    assert refuse(warm, "dense") is None
    assert refuse(warm, "text") is None
    assert "temperature 1" in refuse(warm, "sampled")
    assert refuse(SampledReverseKL(kind="sampled_reverse_kl", temperature=2.0), "token")
    for signal in ("dense", "text"):
        assert refuse(VerdictLoss(kind="verdict", temperature=2.0), signal)


def test_text_goes_with_everything_but_what_needs_tokens():
    """Rows of text get cross-entropy, whatever the divergence."""
    refused = [kind for kind, one in classes().items() if refuse(one(kind=kind), "text")]
    assert refused == ["sampled_reverse_kl"]
    assert set(SIGNALS) == {*TARGETS, "text"}


def test_jsd_near_an_end_is_warned_about():
    """The raw form trains on almost nothing there; the ends themselves are KLs."""
    for beta, warned in ((0.0, 0), (0.02, 1), (0.05, 0), (0.5, 0), (0.98, 1), (1.0, 0)):
        assert len(warnings(JSD(kind="jsd", beta=beta))) == warned
    assert warnings(JSD(kind="jsd", beta=0.02, normalised=True)) == []
    assert warnings(ReverseKL(kind="reverse_kl")) == []


def test_a_gradient_that_is_not_the_values_is_said_so():
    """For skew reverse KL only where it is detached."""
    assert gradient_note(SkewReverseKL(kind="skew_reverse_kl")) is None
    assert gradient_note(SkewReverseKL(kind="skew_reverse_kl", detached=True))


def test_descriptions_need_no_torch():
    """`explain-loss` can run without the training extra."""
    code = (
        "import sys, distill.losses.spec, distill.losses.explain; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
