from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from distill.errors import DataError
from distill.rows.encode import encode
from teachers.chat_format import prompt_ids
from teachers.protocol import Message

WORDS = [
    "<unk>",
    "<s>",
    "</s>",
    "[user]",
    "[assistant]",
    "[nl]",
    "Text:",
    "card",
    "Label:",
    "bug",
    "now",
]
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }} </s> [nl] {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
TURNS = (Message("user", "Text: card"), Message("assistant", "bug now"))
END = WORDS.index("</s>")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """One token per word, with bos, end token and a chat template."""
    vocabulary = {word: at for at, word in enumerate(WORDS)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.chat_template = TEMPLATE
    return fast


def learnt(tokenizer: Any, **options: Any) -> tuple[str, str, bool]:
    """All tokens, the supervised ones, and whether the answer was cut."""
    turns = options.pop("turns", TURNS)
    row = encode(tokenizer, turns, **{"end_id": END, "max_length": 99, **options})
    assert len(row.ids) == len(row.supervised)
    chosen = [token for token, yes in zip(row.ids, row.supervised, strict=True) if yes]
    names = [" ".join(WORDS[token] for token in ids) for ids in (row.ids, chosen)]
    return names[0], names[1], row.truncated


def test_plain(tokenizer: Any) -> None:
    """Plain rows are bos, prompt, answer and the end token; only the last two are learnt."""
    assert learnt(tokenizer, chat=False) == ("<s> Text: card bug now </s>", "bug now </s>", False)
    assert learnt(tokenizer, chat=False, close=False)[1] == "bug now"
    assert learnt(tokenizer, chat=False, end_id=None)[1] == "bug now"


def test_chat(tokenizer: Any) -> None:
    """Chat rows start as asking does and end with the end token, without what a template adds."""
    whole, chosen, _ = learnt(tokenizer, chat=True)
    assert whole == "[user] Text: card </s> [nl] [assistant] bug now </s>"
    assert chosen == "bug now </s>"
    assert learnt(tokenizer, chat=True, close=False)[1] == "bug now"


@pytest.mark.parametrize("chat", [True, False])
def test_starts_with_what_asking_sends(tokenizer: Any, chat: bool) -> None:
    """Training and asking see the same prompt ids."""
    asked = prompt_ids(tokenizer, TURNS[:-1], chat)
    row = encode(tokenizer, TURNS, chat=chat, end_id=END, max_length=99)
    assert row.ids[: len(asked)] == asked
    assert not any(row.supervised[: len(asked)])
    assert all(row.supervised[len(asked) :])


def test_long_rows_lose_the_end_of_the_answer(tokenizer: Any) -> None:
    """Over the limit the answer is cut, without an end token; the prompt keeps its start."""
    assert learnt(tokenizer, chat=False, max_length=4) == ("<s> Text: card bug", "bug", True)
    assert learnt(tokenizer, chat=False, max_length=5)[1:] == ("bug now", True)
    assert learnt(tokenizer, chat=False, max_length=6)[2] is False
    assert learnt(tokenizer, chat=False, max_length=2) == ("<s> Text:", "", True)


def test_refused(tokenizer: Any) -> None:
    """A row without an answer, and a template that rewrites the prompt, are refused."""
    with pytest.raises(DataError, match="last turn"):
        learnt(tokenizer, chat=False, turns=TURNS[:1])
    tokenizer.chat_template = TEMPLATE.replace("[{{ m.role }}]", "{{ messages | length }}")
    with pytest.raises(DataError, match="differently"):
        learnt(tokenizer, chat=True)
    tokenizer.chat_template = TEMPLATE


def test_every_turn_of_a_chat(tokenizer: Any) -> None:
    """The assistant's earlier turns are learnt with their ends; what others say never is."""
    turns = (Message("user", "Text: card"), Message("assistant", "bug"), Message("user", "Label:"),
             Message("assistant", "now"))  # fmt: skip
    text, last, _ = learnt(tokenizer, chat=True, turns=turns)
    assert last == "now </s>"
    same, every, _ = learnt(tokenizer, chat=True, turns=turns, every_turn=True)
    assert same == text
    assert every == "bug </s> now </s>"
    assert learnt(tokenizer, chat=False, turns=turns, every_turn=True)[1] == "now </s>"


def test_turns_that_a_template_rewrites_are_left_out(tokenizer: Any) -> None:
    """A template that shows earlier answers shortened: only the last one is an answer."""
    turns = (Message("user", "card"), Message("assistant", "bug now"), Message("user", "Label:"),
             Message("assistant", "now"))  # fmt: skip
    shortened = TEMPLATE.replace(
        "{{ m.content }}",
        "{{ m.content.split(' ')[-1] if m.role == 'assistant' and not loop.last else m.content }}",
    )
    tokenizer.chat_template = shortened
    try:
        assert learnt(tokenizer, chat=True, turns=turns, every_turn=True)[1] == "now </s>"
    finally:
        tokenizer.chat_template = TEMPLATE
