"""Signals from answers that an API has written."""

import math

import numpy as np
import pytest

from distill.capture.api import ApiReader, StoredAnswer, capture_answers
from distill.errors import RecipeError
from distill.progress import silent
from distill.signals.cache import SignalCache
from distill.signals.consistency import disagreement
from distill.signals.settings import CaptureSettings
from distill.signals.types import SignalRow, TextOnly, TokenLogp, TopK
from teachers.protocol import TokenLogprob

SETTINGS = CaptureSettings(k=20)


def _row(tokenizer, answer, end=True, name="row"):
    ids = tokenizer("Q:")["input_ids"]
    written = tokenizer(answer)["input_ids"] + [tokenizer.eos_token_id] * end
    return SignalRow.of(name, [*ids, *written], [False] * len(ids) + [True] * len(written))


def _told(*tokens):
    """Each token with log-probability -0.5, "x" and " yes" as alternatives."""
    return [
        TokenLogprob(token, -0.5, ((token, -0.5), ("x", -1.5), (" yes", -3.0))) for token in tokens
    ]


def test_equal_tokens_become_a_support(tokenizer):
    """Alternatives that are student tokens are kept, the others and the untold end are not."""
    row = _row(tokenizer, "abc")
    signal = ApiReader(tokenizer, SETTINGS).signal(row, _told("ab", "c"))
    assert isinstance(signal, TopK)
    ids = tokenizer.convert_tokens_to_ids(["ab", "c", "x"])
    assert signal.ids_E.tolist() == [*sorted([ids[0], ids[2]]), *sorted([ids[1], ids[2]])]
    assert signal.counts_N.tolist() == [2, 2, 0]
    tail = 1 - math.exp(-0.5) - math.exp(-1.5)
    assert np.allclose(np.exp(signal.log_tail_N), [tail, tail, 1], atol=1e-6)
    assert np.isnan(signal.gold_logp_N).tolist() == [False, False, True]


def test_a_told_end_counts(tokenizer):
    """Where a server tells the end token too, it has a support, and may be an alternative."""
    row = _row(tokenizer, "c")
    told = [
        TokenLogprob("c", -0.5, (("c", -0.5), ("</s>", -2.0))),
        TokenLogprob("</s>", -0.1, (("</s>", -0.1), ("c", -4.0))),
    ]
    signal = ApiReader(tokenizer, SETTINGS).signal(row, told)
    assert signal.counts_N.tolist() == [2, 2]
    assert signal.gold_logp_N.tolist() == pytest.approx([-0.5, -0.1])


@pytest.mark.parametrize(
    ("answer", "told", "reason"),
    [
        ("abc", _told("a", "bc"), "other tokens"),
        ("abc", _told("ab", "d"), "not the answer"),
        ("abc", _told("ab", "c", " "), "not the answer"),
        ("abc", _told("ab", "\ufffd"), "part of a character"),
        ("abc", None, "without log-probabilities"),
    ],
)
def test_where_tokens_differ_the_text_counts(tokenizer, answer, told, reason):
    """Each way in which an API's tokens are not the student's has its reason."""
    row = _row(tokenizer, answer)
    signal = ApiReader(tokenizer, SETTINGS).signal(row, told)
    assert isinstance(signal, TextOnly)
    assert reason in signal.reason
    assert signal.positions == len(row.positions_N)


def test_pieces_that_do_not_join_count_as_text():
    """A WordPiece vocabulary cannot be matched byte by byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordPiece({"[UNK]": 0, "q": 1, "a": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")
    row = SignalRow.of("r", [1, 2], [False, True])
    signal = ApiReader(tokenizer, SETTINGS).signal(row, _told("a"))
    assert "do not join" in signal.reason


def test_a_space_in_front_is_the_tokenizers(tmp_path):
    """A SentencePiece student starts with a space that the API did not write."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "</s>", "\u2581yes", "\u2581no", "yes", "\u2581", "<0x79>", "y"]
    inner = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(pieces)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")
    row = SignalRow.of("r", [4, 2, 1], [False, True, True])
    told = [TokenLogprob("yes", -0.5, (("yes", -0.5), ("no", -1.5), ("y", -3.0)))]
    signal = ApiReader(tokenizer, SETTINGS).signal(row, told)
    assert signal.ids_E.tolist() == [2, 3]
    inside = SignalRow.of("r", [2, 7], [False, True])
    told = [TokenLogprob("y", -0.5, (("y", -0.5), ("yes", -1.5)))]
    assert ApiReader(tokenizer, SETTINGS).signal(inside, told).ids_E.tolist() == [4, 7]


def test_rows_with_and_without_a_signal_lie_in_one_cache(tmp_path, tokenizer):
    """Text-only rows are kept as such and counted by reason; nothing is missing afterwards."""
    answers = [
        StoredAnswer(_row(tokenizer, "abc", name="one"), _told("ab", "c")),
        StoredAnswer(_row(tokenizer, "cab", name="two"), _told("ca", "b")),
        StoredAnswer(_row(tokenizer, "cc", name="three"), None),
    ]
    for turn in range(2):
        found = capture_answers(answers, "gpt", tokenizer, SETTINGS, tmp_path, silent)
        assert (found.rows, found.stored) == (3, 3 * turn)
        assert sorted(found.text_only.values()) == [1, 1]
    cache = SignalCache(tmp_path)
    kinds = [type(cache.read(one.row)) for one in answers]
    assert kinds == [TopK, TextOnly, TextOnly]


def test_written_tokens_alone(tokenizer):
    """The token signal needs no alternatives."""
    row = _row(tokenizer, "abc", end=False)
    settings = CaptureSettings(kind="token")
    signal = ApiReader(tokenizer, settings).signal(row, _told("ab", "c"))
    assert isinstance(signal, TokenLogp)
    assert signal.gold_logp_N.tolist() == [-0.5, -0.5]


@pytest.mark.parametrize(
    "options", [{"kind": "sampled", "codec": "sampled"}, {"temperatures": (2.0,)}]
)
def test_what_an_api_does_not_tell_is_refused(tmp_path, tokenizer, options):
    """Draws and tempered tails come from local teachers only."""
    with pytest.raises(RecipeError):
        capture_answers([], "gpt", tokenizer, CaptureSettings(**options), tmp_path, silent)


def test_answers_are_told_where_the_rest_is_cut_otherwise(tokenizer, tmp_path):
    """Labels and digits that are one token on both sides, by their bytes; all else is text."""
    row = _row(tokenizer, "abc 3")
    told = _told("a", "bc ")
    top = (("3", -0.5), ("4", -1.5), (" 3", -3.0), ("x", -2.0), ("34", -4.0))
    told.append(TokenLogprob("3", -0.5, top))
    allowed = [str(score) for score in range(1, 6)]
    signal = ApiReader(tokenizer, SETTINGS, allowed).signal(row, told)
    assert signal.counts_N.tolist() == [0, 0, 0, 2, 0]
    ids = tokenizer.convert_tokens_to_ids(["3", "4"])
    assert signal.ids_E.tolist() == sorted(ids)
    tail = 1 - math.exp(-0.5) - math.exp(-1.5) - math.exp(-4.0)  # 34 begins with a 3
    assert np.allclose(np.exp(signal.log_tail_N), [1, 1, 1, tail, 1], atol=1e-6)
    assert np.isnan(signal.gold_logp_N).tolist() == [True, True, True, False, True]
    words = _told("a", "bc")
    assert isinstance(
        ApiReader(tokenizer, SETTINGS, ["x"]).signal(_row(tokenizer, "abc"), words), TextOnly
    )
    label = ApiReader(tokenizer, SETTINGS, ["ab", "x", "c"])
    found = label.signal(_row(tokenizer, "cabcab"), _told("ca", "b", "c", "ab"))
    assert found.counts_N.tolist() == [0, 0, 2, 2, 0]  # the written one and "x"
    settings = CaptureSettings(k=20, codec="set")
    captured = capture_answers(
        [StoredAnswer(row, told)], "gpt", tokenizer, settings, tmp_path, silent, allowed
    )
    assert captured.text_only == {}
    kept = SignalCache(tmp_path).read(row)
    assert kept.counts_N.tolist() == [0, 0, 0, 2, 0]


def test_an_alternative_of_several_tokens_counts_for_its_first(tokenizer):
    """Of 1 and 10 the student writes a 1 first, so its 1 has the mass of both."""
    row = _row(tokenizer, "1")
    top = (("1", -1.0), ("10", -1.2), ("9", -2.5), ("1st", -5.0), ("2b", -6.0))
    signal = ApiReader(tokenizer, SETTINGS).signal(row, [TokenLogprob("1", -1.0, top)])
    one, nine = tokenizer.convert_tokens_to_ids(["1", "9"])
    both = math.log(math.exp(-1.0) + math.exp(-1.2) + math.exp(-5.0))
    got = dict(zip(signal.ids_E.tolist(), signal.logp_E.tolist(), strict=True))
    assert got == pytest.approx({one: both, nine: -2.5}, abs=1e-6)
    assert signal.gold_logp_N[0] == pytest.approx(both)
    tail = 1 - math.exp(both) - math.exp(-2.5)
    assert math.exp(signal.log_tail_N[0]) == pytest.approx(tail, abs=1e-6)
    # The same where only answers are told, the rest being cut otherwise.
    row = _row(tokenizer, "abc 1")
    told = [*_told("a", "bc "), TokenLogprob("1", -1.0, top)]
    alone = ApiReader(tokenizer, SETTINGS, ["1", "9", "10"]).signal(row, told)
    got = dict(zip(alone.ids_E.tolist(), alone.logp_E.tolist(), strict=True))
    assert got == pytest.approx({one: both, nine: -2.5}, abs=1e-6)
    assert disagreement(row, alone) == 0
