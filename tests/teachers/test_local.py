"""The local teacher: asks in, answers out, in batches that change nothing."""

import asyncio
import math
import subprocess
import sys

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from teachers.config import LocalTeacher
from teachers.errors import ConfigError, TeacherError
from teachers.local import LocalAdapter
from teachers.protocol import Ask, user

TEXTS = ["the cat", "a bug in the", "billing", "on the mat the cat sat", "page", "sat", "mat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("llama")
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXTS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=64,
        )
    )
    for parameter in model.parameters():
        parameter.data.mul_(4)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def _ask_all(folder, asks, **settings):
    async def run():
        config = LocalTeacher(kind="local", model=folder, max_tokens=8, **settings)
        teacher = LocalAdapter(config, "small")
        try:
            return await asyncio.gather(*map(teacher.ask, asks), return_exceptions=True)
        finally:
            await teacher.close()

    return asyncio.run(run())


def test_answers_do_not_depend_on_concurrency_or_order(folder):
    """One at a time, eight at a time, or in another order: the same answers."""
    asks = [Ask(user(text), sample=sample) for text in TEXTS for sample in (0, 1)]
    together = _ask_all(folder, asks, concurrency=8)
    assert together == _ask_all(folder, asks, concurrency=1)
    assert together == _ask_all(folder, asks[::-1], concurrency=3)[::-1]
    assert len({answer.text for answer in together}) > len(TEXTS)


def test_an_answer_carries_usage_and_finish(folder):
    """Tokens are counted as the model saw them, the end token included."""
    [answer] = _ask_all(folder, [Ask(user("the cat"))])
    assert answer.usage.input_tokens > 1
    assert answer.usage.output_tokens == 8 or answer.finish == "stop"
    assert answer.model == folder
    assert answer.logprobs is None


def test_choices_are_answered_by_likelihood(folder):
    """The most likely choice is the answer, and every choice has its log-probability."""
    asks = [Ask(user(text), choices=("x", "yes", "zebra")) for text in TEXTS]
    for answer in _ask_all(folder, asks, concurrency=4):
        best = max(answer.choice_logp, key=answer.choice_logp.__getitem__)
        assert answer.text == best
        assert sum(map(math.exp, answer.choice_logp.values())) == pytest.approx(1)


def test_different_kinds_of_ask_wait_together(folder):
    """Choices, free text and other limits in flight at once each get their own answer."""
    asks = [
        Ask(user("the cat"), choices=("x", "y")),
        Ask(user("the cat")),
        Ask(user("the cat"), max_tokens=2, top_logprobs=3),
        Ask(user("the cat"), choices=("p", "q")),
    ]
    chosen, free, short, other = _ask_all(folder, asks)
    assert chosen.text in ("x", "y")
    assert other.text in ("p", "q")
    assert free.usage.output_tokens >= short.usage.output_tokens <= 2
    assert all(len(token.top) == 3 for token in short.logprobs)


def test_the_system_message_reaches_the_model(folder):
    """A teacher's own system message changes what it reads."""
    [bare] = _ask_all(folder, [Ask(user("the cat"))])
    [led] = _ask_all(folder, [Ask(user("the cat"))], system="on the mat")
    assert led.usage.input_tokens > bare.usage.input_tokens


def test_one_prompt_too_long_fails_alone(folder):
    """An ask beyond the context fails as context_overflow; its neighbours are answered."""
    asks = [Ask(user("the cat")), Ask(user("the cat " * 60))]
    fine, wrong = _ask_all(folder, asks)
    assert fine.text is not None
    assert isinstance(wrong, TeacherError)
    assert wrong.kind == "context_overflow"


def test_a_model_that_cannot_be_loaded_fails_every_ask(folder):
    """All asks that wait get the configuration error, with what to do."""
    found = _ask_all(f"{folder}-gone", [Ask(user("a")), Ask(user("b"))])
    assert all(isinstance(error, ConfigError) for error in found)
    assert "no such folder" in str(found[0])


def test_a_student_teacher_needs_its_folder():
    """`recipe:` teachers are given their folder by whoever trained them."""
    with pytest.raises(ConfigError, match=r"other\.yaml is not there yet"):
        LocalAdapter(LocalTeacher(kind="local", recipe="other.yaml"), "small")


def test_the_adapter_can_be_named_without_torch():
    """Importing the adapter's module loads neither torch nor transformers."""
    code = (
        "import sys, teachers.local; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
