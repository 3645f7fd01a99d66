"""What is written beside a tokenizer."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from teachers.local_loading import load_tokenizer, save_tokenizer

PIECES = ["<unk>", "</s>", "\u2581yes", "yes", "\u2581"]


@pytest.fixture
def make_folder(tmp_path):
    """A tokenizer's folder with a SentencePiece model beside it."""

    def make(pieces):
        inner = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(pieces)}, "<unk>"))
        inner.pre_tokenizer = pre_tokenizers.Metaspace()
        inner.decoder = decoders.Metaspace()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
        tokenizer.save_pretrained(tmp_path / "from")
        (tmp_path / "from" / "tokenizer.model").write_bytes(b"pieces and their scores")
        return tmp_path / "from"

    return make


def test_a_sentencepiece_model_goes_with_its_tokenizer(make_folder, tmp_path):
    """From folder to folder; llama.cpp takes the scores of the pieces from it."""
    tokenizer = load_tokenizer(str(make_folder(PIECES)))
    for name in ("first", "second"):
        save_tokenizer(tokenizer, tmp_path / name)
        assert (tmp_path / name / "tokenizer.model").read_bytes() == b"pieces and their scores"
        tokenizer = load_tokenizer(str(tmp_path / name))
        assert len(tokenizer) == len(PIECES)


def test_other_vocabularies_have_none(make_folder, tmp_path):
    """A byte-level tokenizer has no such model, and one made in memory comes from nowhere."""
    save_tokenizer(load_tokenizer(str(make_folder(["<unk>", "yes"]))), tmp_path / "to")
    assert not (tmp_path / "to" / "tokenizer.model").exists()
    inner = Tokenizer(models.WordLevel({piece: at for at, piece in enumerate(PIECES)}, "<unk>"))
    save_tokenizer(PreTrainedTokenizerFast(tokenizer_object=inner), tmp_path / "made")
    assert not (tmp_path / "made" / "tokenizer.model").exists()
