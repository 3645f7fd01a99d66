"""The tokenizer built from the dataset's own text."""

import subprocess
import sys

from distill.train.tokenizer import build_tokenizer
from teachers import chat_format
from teachers.protocol import Message, user

TEXTS = ["the invoice is wrong", "how do I reset it?", "the invoice again"] * 3
WORDS = ("billing", "how_to", "the", "not working")


def test_every_text_comes_back():
    """Bytes that the training text never had survive too."""
    tokenizer = build_tokenizer(TEXTS, 300)
    for text in ("the invoice", "  spaces  and\ttabs\n", "naïve 漢字 🎈"):
        ids = chat_format.completion_ids(tokenizer, text)
        assert chat_format.completion_text(tokenizer, ids) == text


def test_labels_are_single_ordinary_tokens():
    """A label is one token in an answer, also when special ones are skipped, and cuts no word."""
    tokenizer = build_tokenizer(TEXTS, 290, WORDS)
    for word in WORDS:
        [token] = chat_format.completion_ids(tokenizer, word)
        assert tokenizer.decode([token], skip_special_tokens=True) == word
        written = chat_format.answer_ids(tokenizer, word, chat=True, ends=(2,))
        assert written == [token, 2]
    billing = tokenizer.convert_tokens_to_ids("billing")
    assert billing not in tokenizer("rebillings")["input_ids"]
    assert len(tokenizer) <= 290 + len(WORDS)


def test_a_conversation_closes_the_assistant_s_turn():
    """The template writes a marker per turn, and the end token after an answer only."""
    tokenizer = build_tokenizer(TEXTS, 300)
    turns = (*user("hi", system="be kind"), Message("assistant", "yes"))
    ids = chat_format.template_ids(tokenizer, turns, generation_prompt=False)
    assert tokenizer.decode(ids) == "<s><|system|>be kind<|user|>hi<|assistant|>yes</s>"
    prompt = chat_format.prompt_ids(tokenizer, turns[:2], chat=True)
    assert ids[: len(prompt)] == prompt


def test_it_is_the_same_every_time(tmp_path):
    """Two processes with different hash seeds write the same files."""
    code = (
        "import sys; from distill.train.tokenizer import build_tokenizer as b;"
        f"b({TEXTS!r}, 300, {WORDS!r}).save_pretrained(sys.argv[1])"
    )
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        command = [sys.executable, "-c", code, str(folder)]
        env = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(filter(None, sys.path))}
        subprocess.run(command, check=True, timeout=120, env=env)
    names = sorted(path.name for path in folders[0].iterdir())
    assert "tokenizer.json" in names
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
