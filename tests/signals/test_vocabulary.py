"""Whether two tokenizers are one."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from distill.errors import RecipeError
from distill.signals.vocabulary import fingerprint, shared_width

PIECES = ["<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]


def _tokenizer(pieces=PIECES, *, prefix=False, added=()):
    inner = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    tokenizer.add_tokens(list(added))
    return tokenizer


def test_equal_tokenizers_share_all_real_columns():
    """The width counts added tokens and no padding."""
    assert shared_width(_tokenizer(), _tokenizer()) == len(PIECES)
    both = [_tokenizer(added=["hello"]) for _ in range(2)]
    assert shared_width(*both) == len(PIECES) + 1
    assert fingerprint(both[0]) == fingerprint(both[1]) != fingerprint(_tokenizer())


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (_tokenizer(PIECES[:1] + PIECES[:0:-1]), "1 of them|2 of them"),
        (_tokenizer(added=["hello"]), f"teacher {len(PIECES) + 1}"),
        (_tokenizer(prefix=True), "cut in different ways"),
    ],
)
def test_a_difference_is_told(other, says):
    """Same size in another order, one more piece, or another way to cut text: all refused."""
    assert fingerprint(_tokenizer()) != fingerprint(other)
    with pytest.raises(RecipeError) as caught:
        shared_width(_tokenizer(), other)
    problem = caught.value.problems[0]
    assert problem.key == "train.signal"
    assert any(part in problem.found for part in says.split("|"))
