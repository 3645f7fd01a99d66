"""A judge's allowed answers: scored as whole sequences, renormalised, compared in three forms."""

import pytest
import torch

from distill.losses import core
from distill.losses.targets import VerdictTargets
from distill.losses.verdict import answer_scores, clash, expected_error, sequence_logp
from distill.recipe.training import VerdictLoss

SCORES = torch.arange(1.0, 6.0)


def loss(form):
    return VerdictLoss(kind="verdict", form=form)


def value(form, q, p):
    targets = VerdictTargets(torch.tensor([p]), SCORES[: len(p)])
    return core.per_token_loss(torch.tensor([q]).log(), targets, loss(form)).item()


def test_an_answer_is_worth_its_whole_sequence():
    """Answers "1", "10" and "2", each with its closing token, by the chain rule."""
    first = {"1": 0.6, "2": 0.3}
    after_1 = {"end": 0.25, "0": 0.5}
    padded = torch.ones(1, 3, 3)
    padded[0, 0, :2] = torch.tensor([first["1"], after_1["end"]])
    padded[0, 1] = torch.tensor([first["1"], after_1["0"], 0.9])
    padded[0, 2, :2] = torch.tensor([first["2"], 1.0])
    keep = torch.tensor([[[1, 1, 0], [1, 1, 1], [1, 1, 0]]]).bool()
    found = sequence_logp(padded.log(), keep)
    torch.testing.assert_close(found.exp(), torch.tensor([[0.15, 0.27, 0.3]]))


def test_what_stands_in_the_padding_does_not_matter():
    """Not even infinities."""
    keep = torch.tensor([[[True, False]]])
    assert sequence_logp(torch.tensor([[[-1.0, -torch.inf]]]), keep).item() == -1.0


def test_left_over_mass_is_reported():
    """The allowed answers are renormalised; the rest of the mass is told apart."""
    found = answer_scores(torch.tensor([[0.15, 0.27, 0.3]]).log())
    torch.testing.assert_close(found.left_over_N, torch.tensor([0.28]))
    torch.testing.assert_close(found.logp_NS.exp().sum(-1), torch.ones(1))
    torch.testing.assert_close(found.logp_NS.exp()[0, 0], torch.tensor(0.15 / 0.72))


def test_an_answer_that_begins_another_is_found():
    """Without closing tokens "1" would be counted within "10"."""
    assert clash([[1], [2], [1, 0]]) == (0, 2)
    assert clash([[1, 9], [2, 9], [1, 0, 9]]) is None
    assert clash([[4], [4]]) == (0, 1)


def test_kl_by_hand():
    """Vote shares with an answer that nobody gave."""
    found = value("kl", [0.5, 0.25, 0.25], [0.5, 0.5, 0.0])
    assert found == pytest.approx(0.5 * 0.6931472)


def test_cdf_by_hand():
    """Squared distances of the cumulative shares: .5, .5 and 0."""
    assert value("cdf", [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]) == pytest.approx(0.5)


def test_expected_by_hand():
    """A student at 1 against votes of 1 and 3 is one point off, downwards."""
    assert value("expected", [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]) == pytest.approx(1.0)
    targets = VerdictTargets(torch.tensor([[0.5, 0.0, 0.5]]), SCORES[:3])
    assert expected_error(torch.tensor([[1.0, 0.0, 0.0]]).log(), targets).item() == -1.0


@pytest.mark.parametrize("form", ["cdf", "expected"])
def test_ordered_forms_count_a_far_score_more(form):
    """Against a certain 1, a certain 5 is worse than a certain 2; kl would not know."""
    one, two, five = ([float(at == score) for at in range(5)] for score in (0, 1, 4))
    assert value(form, five, one) > value(form, two, one)


def test_left_over_mass_gets_no_gradient(draw):
    """The same factor on every answer changes neither value nor gradient."""
    logits = torch.randn((3, 5), generator=draw)
    targets = VerdictTargets(torch.rand((3, 5), generator=draw).softmax(-1), SCORES)
    for form in ("kl", "cdf", "expected"):
        one = core.value_and_grad(logits, targets, loss(form))
        other = core.value_and_grad(logits - 2, targets, loss(form))
        torch.testing.assert_close(one.value_N, other.value_N)
        assert one.dz_NV.sum(-1).abs().max() < 1e-5
