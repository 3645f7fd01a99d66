"""`explain-loss`: what a recipe's loss is, in words and as JSON."""

import pytest

from distill.losses.spec import SIGNALS, SPECS

KEYS = {
    "recipe", "kind", "options", "signal", "formula", "direction", "range", "at_equal", "gradient",
    "gradient_note", "normaliser", "temperature", "tail", "weights", "pairs", "notes", "source",
}  # fmt: skip


@pytest.fixture
def explain(project, workdir):
    """Runs the command on the small project with keys of `train` set."""
    recipe = project.write_project(workdir, student=True)

    def run(*flags, **train):
        sets = [f"train.{key}={value}" for key, value in train.items()]
        overrides = [part for one in sets for part in ("--set", one)]
        return project.command("explain-loss", recipe, *overrides, *flags)

    return run


def test_in_words(explain):
    """Formula, direction, normaliser, temperature and tail rule, value at p = q, weights."""
    out = explain(loss="{kind: forward_kl, weight: 0.9, ce: 0.1, temperature: 2}").out
    for part in (
        "loss         forward_kl",
        "KL(p || q) = sum p (log p - log q)",
        "mass-covering",
        "at p = q     0",
        "supervised tokens of the whole optimiser step",
        "temperature  2; rule: both logits divided by T; value and gradient not multiplied by T^2",
        "tail         ghost",
        "weight 0.9, ce 0.1",
        "topk         refused: temperature 2",
        "arXiv:1503.02531",
        "note: the signal is text: this loss is not computed, CE has weight 1",
    ):
        assert part in out
    assert out.isascii()


@pytest.mark.parametrize("kind", SPECS)
def test_as_json(explain, kind):
    """One object with the same keys for every loss, and a reason for every refused pair."""
    signal = "{kind: token}" if kind == "sampled_reverse_kl" else "{kind: dense}"
    said = explain("--json", loss=f"{{kind: {kind}}}", signal=signal)
    assert said.code == 0
    found = said.json
    assert set(found) == KEYS
    assert found["kind"] == kind
    assert [pair["signal"] for pair in found["pairs"]] == list(SIGNALS)
    assert all(pair["refused"] is None or pair["refused"] for pair in found["pairs"])


def test_options_and_warnings(explain):
    """Only this loss's own options; a jsd near its end is warned about."""
    found = explain("--json", loss="{kind: jsd, beta: 0.01}", signal="{kind: dense}").json
    assert found["options"] == {"beta": 0.01, "normalised": False}
    assert "normalised: true" in found["notes"][0]
    detached = explain(loss="{kind: skew_reverse_kl, detached: true}", signal="{kind: dense}").out
    assert "but          with `detached`" in detached


def test_an_unsound_pair_is_refused(explain):
    """Exit 2 with the reason, the line, and the signals that would do."""
    said = explain("--json", loss="{kind: reverse_kl}", signal="{kind: topk}")
    assert said.code == 2
    [problem] = said.json["error"]["problems"]
    assert problem["key"] == "train.loss"
    assert "could move its mass there unpunished" in problem["found"]
    assert problem["allowed"] == "text, dense"


def test_nothing_to_explain(project, workdir):
    """A recipe that trains nothing has no loss."""
    said = project.command("explain-loss", project.write_project(workdir))
    assert said.code == 2
    assert "nothing is trained" in said.err
