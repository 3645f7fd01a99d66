"""Signals of a real model: what they take, what they keep, what is refused."""

import json

import pytest

from distill.capture.audit import audit
from distill.capture.local import capture
from distill.errors import RecipeError
from distill.progress import silent
from distill.signals.cache import SignalCache
from distill.signals.consistency import check_cache
from distill.signals.settings import CaptureSettings
from distill.signals.types import SignalRow
from distill.signals.vocabulary import shared_width

STORIES, TOKENS = 50, 160


@pytest.fixture(scope="module")
def teacher(real):
    """babyllama-tok361 in this process."""
    from teachers.local_model import LocalModel

    model = LocalModel.load(str(real / "models" / "babyllama-tok361"), chat=False)
    yield model
    model.release()


@pytest.fixture(scope="module")
def rows(real, teacher):
    """The starts of stories, every token after the first one supervised."""
    stories = json.loads((real / "data" / "tinystories" / "tinystories_1000.json").read_text())
    made = []
    for at, story in enumerate(stories[:STORIES]):
        written = teacher.tokenizer(story, add_special_tokens=False)["input_ids"]
        ids = [teacher.tokenizer.bos_token_id, *written][:TOKENS]
        made.append(SignalRow.of(f"story-{at}", ids, [True] * len(ids)))
    return made


@pytest.mark.parametrize(
    ("settings", "bytes_limit", "kl_limit"),
    [
        (CaptureSettings(k=16), 60, 0.02),
        (CaptureSettings(k=16, codec="packed"), 60, 0.02),
        (CaptureSettings(k=64, top_p=0.999, min_k=4), 40, 0.004),
    ],
    ids=["set", "packed", "top_p"],
)
def test_stories_in_few_bytes(
    tmp_path, teacher, rows, record_property, settings, bytes_limit, kl_limit
):
    """Fifty stories take under 60 bytes a position, and what they lose is small and told."""
    found = capture(rows, teacher, teacher.tokenizer, settings, tmp_path, silent)
    assert found.bytes_per_position < bytes_limit
    assert 0.4 < found.loss < 0.9 < found.uniform
    check_cache(SignalCache(tmp_path), rows)
    report = audit(tmp_path, rows, teacher)
    for name in ("bytes_per_position", "kept", "covered", "kl", "kl_coarse", "rescore"):
        record_property(name, report[name])
    print(json.dumps({name: report[name] for name in report if name != "identity"}, indent=1))
    assert 0 < report["kl"]["mean"] < kl_limit
    assert report["kl_coarse"]["mean"] < 1e-3
    assert report["rescore"]["max_error_p"] < 0.02
    assert report["teacher_loss"]["own_text"] < 1


def test_draws_agree_with_the_model(tmp_path, teacher, rows):
    """Fifty draws of each position of real stories contradict nothing."""
    settings = CaptureSettings(kind="sampled", codec="sampled")
    found = capture(rows[:10], teacher, teacher.tokenizer, settings, tmp_path, silent)
    assert found.bytes_per_position < 30
    assert audit(tmp_path, rows[:10], teacher)["contradicted"] < 0.01


def test_other_vocabularies_are_refused(tmp_path, real, teacher, rows):
    """The same characters under other ids, and equal sizes with other pieces, are refused."""
    from transformers import AutoTokenizer

    other = AutoTokenizer.from_pretrained(real / "models" / "babyllama-tok105")
    with pytest.raises(RecipeError, match="do not share a vocabulary"):
        capture(rows, teacher, other, CaptureSettings(), tmp_path, silent)
    pair = [AutoTokenizer.from_pretrained(real / "tokenizers" / name) for name in
            ("tinyllama", "mistral-v0.1")]  # fmt: skip
    assert len(pair[0]) == len(pair[1])
    with pytest.raises(RecipeError):
        shared_width(*pair)


def test_pieces_are_the_bytes_of_texts(real):
    """Joining the pieces of real tokenizers gives the text's own bytes; WordPiece has none."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    from distill.signals.pieces import ids_by_bytes, piece_bytes

    text = "Once upon a time, naïve café — 漢字 🦙\n\tend"
    for name in ("gpt2", "tinyllama", "mistral-v0.1"):
        tokenizer = AutoTokenizer.from_pretrained(real / "tokenizers" / name)
        pieces = piece_bytes(tokenizer)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert b"".join(pieces[at] for at in ids).lstrip() == text.encode(), name
        back = ids_by_bytes(pieces, tokenizer)
        same = [at for at in ids if back[pieces[at]] == at]
        assert len(same) == len(ids), name
    bert = real / "tokenizers" / "bert-wordpiece-semhash" / "tokenizer.json"
    assert piece_bytes(PreTrainedTokenizerFast(tokenizer_file=str(bert))) is None
