"""Prompts, answers and their ends in every kind of tokenizer that this project meets."""

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from teachers import chat_format
from teachers.errors import ConfigError
from teachers.protocol import Message, user

SPECIALS = ["<unk>", "<s>", "</s>"]
TEXTS = ["Once upon a time a little girl went out.", "She said: hello! = 3\nThe end."] * 4
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no system turns') }}{% endif %}<{{ m.role }}>{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def _wrap(inner, **options):
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>", **options
    )


@pytest.fixture(scope="module")
def byte_level():
    """Like GPT-2: spaces belong to words, nothing is added in front."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(TEXTS, trainer)
    return _wrap(inner, chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def sentence_piece():
    """Like Llama 2: a space is put before every text and taken away when decoding."""
    letters = sorted({"▁", *"".join(TEXTS)} - {" ", "\n"})
    pieces = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *letters, "▁a"]
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    merges = [("▁", "a")]
    inner = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    inner.add_special_tokens(SPECIALS)
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return _wrap(inner)


@pytest.mark.parametrize("text", [" a little girl", "a little girl", ":", "", " ", "\nThe end."])
@pytest.mark.parametrize("name", ["byte_level", "sentence_piece"])
def test_completions_come_back_as_they_were(name, text, request):
    """A continuation keeps its leading space, or its lack of one, through ids and back."""
    tokenizer = request.getfixturevalue(name)
    ids = chat_format.completion_ids(tokenizer, text)
    assert chat_format.completion_text(tokenizer, ids) == text


@pytest.mark.parametrize("name", ["byte_level", "sentence_piece"])
def test_a_split_text_has_the_ids_of_the_whole(name, request):
    """Prompt ids and completion ids, put together, spell the text written in one piece."""
    tokenizer = request.getfixturevalue(name)
    prompt = chat_format.prompt_ids(tokenizer, user("Once upon"), chat=False)
    whole = tokenizer("Once upon a time", add_special_tokens=False)["input_ids"]
    assert prompt + chat_format.completion_ids(tokenizer, " a time") == [1, *whole]


def test_plain_turns_are_joined_by_blank_lines(byte_level):
    """Without a template the system message stands above the prompt, after bos."""
    ids = chat_format.prompt_ids(byte_level, user("Hello", system="Be kind."), chat=False)
    assert byte_level.decode(ids) == "<s>Be kind.\n\nHello"


def test_chat_prompt_and_answer_are_the_template_s(byte_level):
    """The answer's ids run up to the end of turn, and follow the prompt's in the whole chat."""
    prompt = chat_format.prompt_ids(byte_level, user("Hi"), chat=True)
    answer = chat_format.answer_ids(byte_level, "hello", chat=True, ends=(2,))
    turns = (*user("Hi"), Message("assistant", "hello"))
    full = chat_format.template_ids(byte_level, turns, generation_prompt=False)
    assert answer[-1] == 2
    assert full[: len(prompt) + len(answer)] == prompt + answer


def test_a_template_that_refuses_turns_says_so(byte_level):
    """The message of the template and what to do reach the user."""
    with pytest.raises(ConfigError, match=r"no system turns.*chat: false"):
        chat_format.prompt_ids(byte_level, user("Hi", system="x"), chat=True)


def test_end_ids_put_the_model_before_the_tokenizer(byte_level):
    """Models may end with another token than their tokenizer says; both count."""
    assert chat_format.end_ids(byte_level, SimpleNamespace(eos_token_id=[1, 2])) == (1, 2)
    assert chat_format.end_ids(byte_level, SimpleNamespace(eos_token_id=7)) == (7, 2)
    assert chat_format.end_ids(byte_level) == (2,)


def test_what_closes_an_answer(byte_level, sentence_piece):
    """A chat closes with its template's end of turn, a raw answer with the first end id."""
    assert chat_format.closing_id(byte_level, chat=True, ends=(0, 2)) == 2
    assert chat_format.closing_id(sentence_piece, chat=False, ends=(1, 2)) == 1
    assert chat_format.closing_id(sentence_piece, chat=False, ends=()) is None


def test_whether_there_is_a_template(byte_level, sentence_piece):
    """Chat is possible where the tokenizer knows how."""
    assert chat_format.has_chat_template(byte_level)
    assert not chat_format.has_chat_template(sentence_piece)
