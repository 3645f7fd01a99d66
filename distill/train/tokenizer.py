"""A byte-level BPE tokenizer trained on the dataset's own text, with a plain chat template.

The same texts give the same tokenizer, byte for byte.
"""

from collections.abc import Iterable
from typing import Any

UNKNOWN, BOS, EOS, PAD = "<unk>", "<s>", "</s>", "<pad>"
MARKERS = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""An answer stands between its marker and </s>, with nothing around it."""


def build_tokenizer(texts: Iterable[str], size: int, words: Iterable[str] = ()) -> Any:
    """A tokenizer with at most `size` pieces, and every word of `words` as one token on top."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[UNKNOWN, BOS, EOS, PAD, *MARKERS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token=UNKNOWN,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    _add_whole(tokenizer, words)
    return tokenizer


def _add_whole(tokenizer: Any, words: Iterable[str]) -> None:
    """Make every word that the pieces would split one ordinary token."""
    from tokenizers import AddedToken

    split = [word for word in dict.fromkeys(words) if len(tokenizer.tokenize(word)) > 1]
    # single_word: the label `bug` must not be cut out of `bugs` in a text.
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False) for word in split])
