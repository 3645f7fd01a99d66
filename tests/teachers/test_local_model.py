"""The in-process model: sampling per row, ends, limits, choices, hidden states, loading."""

import json
import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GenerationConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from teachers import chat_format
from teachers.errors import ConfigError, TeacherError
from teachers.local_model import LocalModel
from teachers.protocol import user

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.role == 'assistant' %}"
    "{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def _tokenizer(**options):
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(["the cat sat on the mat", "a bug in the billing page"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="<pad>", **options
    )


def _save(folder, config, **options):
    torch.manual_seed(1)
    tokenizer = _tokenizer(**options)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        parameter.data.mul_(4)  # fresh weights are nearly uniform; these have opinions
    model.generation_config = GenerationConfig(eos_token_id=[0, 1], temperature=0.1, do_sample=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config = LlamaConfig(vocab_size=304, max_position_embeddings=64, **SIZE, **HEADS)
    return _save(tmp_path_factory.mktemp("llama"), config)


@pytest.fixture(scope="module")
def model(folder):
    return LocalModel.load(folder, dtype="float32")


@pytest.fixture(scope="module")
def prompts(model):
    texts = ["the cat", "a bug in the", "billing", "on the mat the cat sat", "page"]
    return [chat_format.prompt_ids(model.tokenizer, user(text), model.chat) for text in texts]


def _write(model, prompts, seeds, **options):
    settings = {"max_tokens": 12, "temperature": 1.0, "top_p": 1.0} | options
    return model.generate(prompts, seeds=seeds, **settings)


@pytest.mark.parametrize("sampling", [{}, {"top_p": 0.8}, {"temperature": 0.0}])
def test_an_answer_does_not_depend_on_the_batch(model, prompts, sampling):
    """Alone, together, in another order and in small batches every row writes the same."""
    seeds = [11, 12, 13, 14, 15]
    together = _write(model, prompts, seeds, **sampling)
    alone = [
        _write(model, [prompt], [seed], **sampling)[0]
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    turned = _write(model, prompts[::-1], seeds[::-1], batch=2, **sampling)[::-1]
    assert together == alone == turned


def test_seeds_decide_what_is_drawn(model, prompts):
    """The same seed draws the same, another seed something else; greedy ignores it."""
    first, again, other = _write(model, [prompts[0]] * 3, [1, 1, 2])
    assert first == again != other
    greedy = _write(model, [prompts[0]] * 2, [1, 2], temperature=0)
    assert greedy[0] == greedy[1]


def test_draws_follow_the_model_s_probabilities(model, prompts):
    """Over many seeds the first token has the softmax frequencies, at another temperature too."""
    count, temperature = 3000, 1.5
    drawn = _write(
        model, [prompts[0]] * count, range(count), max_tokens=1, temperature=temperature, batch=500
    )
    ids = torch.tensor([row.ids[0] if row.ids else 0 for row in drawn])
    logits = model.model(torch.tensor([prompts[0]])).logits[0, -1]
    want = torch.softmax(logits / temperature, -1)
    got = torch.bincount(ids, minlength=304) / count
    assert (got - want).abs()[2:].max() < 4 * math.sqrt(0.25 / count)


def test_top_p_keeps_the_nucleus(model, prompts):
    """A tiny top_p leaves the best token only."""
    greedy = _write(model, prompts, [0] * 5, temperature=0)
    assert _write(model, prompts, [5] * 5, top_p=1e-6) == greedy


def test_every_end_id_ends_an_answer_and_stays_out_of_it(folder):
    """Both ids of generation_config's list end a row; the text does not hold them."""
    model = LocalModel.load(folder, dtype="float32")
    assert model.end_ids == (0, 1)
    head = model.model.get_output_embeddings()
    head.weight.data[0] = 0
    prompt = [0, 50, 60]
    states = model.hidden(torch.tensor([prompt]), torch.ones(1, 3, dtype=torch.long))[0, -1]
    head.weight.data[0] = states * 10
    [answer] = _write(model, [prompt], [0], temperature=0)
    assert (answer.text, answer.ids, answer.finish) == ("", [], "stop")


def test_the_token_limit_and_the_context_end_an_answer_as_length(model, prompts):
    """The limit is each row's own: what the context leaves, or max_tokens."""
    long = [0, *range(50, 50 + 60)]
    rows = _write(model, [prompts[0], long, [*long, 5, 6, 7]], [3, 4, 5], max_tokens=8)
    written = [(len(row.ids), row.finish) for row in rows if row.finish == "length"]
    assert rows[1].finish == "stop" or len(rows[1].ids) == 3
    assert (0, "length") in written
    assert all(len(row.ids) <= 8 for row in rows)


def test_stop_strings_cut_the_text(model, prompts):
    """The text ends before the first stop string, whatever the rest of the batch writes."""
    [free] = _write(model, [prompts[1]], [7], max_tokens=20)
    mark = free.text[5:7]
    [cut, other] = _write(model, prompts[1:3], [7, 8], max_tokens=20, stop=[mark])
    assert cut.text == free.text[: free.text.index(mark)]
    assert cut.finish == "stop"
    assert len(cut.ids) < len(free.ids)
    assert mark not in other.text


def test_log_probabilities_of_written_tokens(model, prompts):
    """With top_logprobs each token carries the model's own log-probability, noise left out."""
    [answer] = _write(model, [prompts[0]], [3], top_logprobs=2)
    assert len(answer.logprobs) == len(answer.ids)
    logits = model.model(torch.tensor([[*prompts[0], *answer.ids]])).logits[0]
    logp = torch.log_softmax(logits, -1)
    at = len(prompts[0]) - 1
    assert answer.logprobs[2].logp == pytest.approx(logp[at + 2, answer.ids[2]].item(), abs=1e-4)
    assert answer.logprobs[2].top[0][1] == pytest.approx(logp[at + 2].max().item(), abs=1e-4)


def _by_hand(model, prompt, written):
    logits = model.model(torch.tensor([[*prompt, *written]])).logits[0].double()
    logp = torch.log_softmax(logits, -1)
    start = len(prompt) - 1
    return sum(logp[start + at, token].item() for at, token in enumerate(written)) / len(written)


def test_choices_are_scored_by_their_mean_log_likelihood(model, prompts):
    """Several tokens per choice: mean per token, normalised over the choices, for any batch."""
    choices = ["billing", "a bug", "the cat sat"]
    scored = model.choice_logp(prompts, choices)
    for prompt, row in zip(prompts, scored, strict=True):
        ids = [chat_format.completion_ids(model.tokenizer, choice) for choice in choices]
        raw = torch.tensor([_by_hand(model, prompt, written) for written in ids])
        want = torch.log_softmax(raw, 0).tolist()
        assert list(row) == choices
        assert list(row.values()) == pytest.approx(want, abs=1e-4)


def test_one_token_choices_are_the_next_token_s_probabilities(model, prompts):
    """Where every choice is one token, its probability given the prompt is what counts."""
    choices = ["x", "y", "z"]
    [row] = model.choice_logp(prompts[:1], choices)
    ids = [chat_format.completion_ids(model.tokenizer, choice)[0] for choice in choices]
    logits = model.model(torch.tensor([prompts[0]])).logits[0, -1, ids]
    assert list(row.values()) == pytest.approx(torch.log_softmax(logits, 0).tolist(), abs=1e-4)


def test_a_chat_s_choices_include_the_end_of_the_turn(tmp_path):
    """`a` and `a b` are told apart by where the answer ends."""
    config = LlamaConfig(vocab_size=304, max_position_embeddings=64, **SIZE, **HEADS)
    model = LocalModel.load(_save(tmp_path, config, chat_template=TEMPLATE), dtype="float32")
    assert model.chat
    prompt = chat_format.prompt_ids(model.tokenizer, user("the cat"), chat=True)
    [row] = model.choice_logp([prompt], ["x", "xyz"])
    ids = [[*chat_format.completion_ids(model.tokenizer, text), 1] for text in ("x", "xyz")]
    want = torch.log_softmax(torch.tensor([_by_hand(model, prompt, i) for i in ids]), 0)
    assert list(row.values()) == pytest.approx(want.tolist(), abs=1e-4)


def test_choices_that_do_not_fit_are_refused(model):
    """A prompt beyond the context is an error that says both lengths."""
    with pytest.raises(TeacherError, match="80 tokens do not fit the context"):
        model.choice_logp([[5] * 80], ["x", "y"])


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_projected_hidden_states_are_the_logits(kind, model, tmp_path):
    """hidden, then project, gives what the model's own forward gives."""
    if kind == "gpt2":
        config = GPT2Config(vocab_size=304, n_embd=32, n_layer=1, n_head=2, n_positions=40)
        model = LocalModel.load(_save(tmp_path, config), dtype="float32")
        assert model.context == 40
    ids = torch.tensor([[0, 60, 70, 80]])
    logits = model.project(model.hidden(ids, torch.ones_like(ids))[0])
    torch.testing.assert_close(logits, model.model(ids).logits[0])


def test_a_capped_head_answers_but_gives_no_hidden_states(tmp_path):
    """A model whose logits pass a soft cap can write and choose; its hidden states are refused."""
    config = Gemma2Config(
        vocab_size=304, max_position_embeddings=64, final_logit_softcapping=2.0, **SIZE, **HEADS
    )
    model = LocalModel.load(_save(tmp_path, config), dtype="float32")
    ids = torch.tensor([[5, 6]])
    with pytest.raises(ConfigError, match=r"Gemma2ForCausalLM.*signal: text"):
        model.hidden(ids, torch.ones_like(ids))
    [row] = model.choice_logp([[5, 6]], ["x", "y"])
    assert sum(math.exp(logp) for logp in row.values()) == pytest.approx(1)


def test_batches_are_halved_when_memory_runs_out(model, prompts, monkeypatch):
    """A batch that does not fit is answered in halves; one row that does not fit is an error."""
    real, sizes = model.model.generate, []

    def narrow(**options):
        sizes.append(len(options["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**options)

    whole = _write(model, prompts, [1, 2, 3, 4, 5])
    monkeypatch.setattr(model.model, "generate", narrow)
    assert _write(model, prompts, [1, 2, 3, 4, 5]) == whole
    assert sizes == [5, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("source", "says"),
    [("/nowhere/model", "no such folder"), ("./nowhere", "no such folder")],
)
def test_a_missing_folder_says_what_to_do(source, says):
    """A path that is not there is named, with what may be given instead."""
    with pytest.raises(ConfigError, match=f"{source}: {says}.*hub id"):
        LocalModel.load(source)


def test_an_unreachable_hub_id_says_what_to_do(monkeypatch):
    """Offline, a hub id fails with the reason and the way out, at once."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"nobody/nothing: cannot be loaded.*HF_HUB_OFFLINE"):
        LocalModel.load("nobody/nothing")


def test_weights_other_than_safetensors_are_not_read(folder, tmp_path):
    """A folder with pickled weights only is refused."""
    source = LocalModel.load(folder)
    source.tokenizer.save_pretrained(tmp_path)
    source.model.config.save_pretrained(tmp_path)
    torch.save(source.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="safetensors"):
        LocalModel.load(str(tmp_path))


def test_chat_needs_a_template(folder):
    """`chat: true` on a tokenizer without a template is a configuration error."""
    with pytest.raises(ConfigError, match="no chat template"):
        LocalModel.load(folder, chat=True)


def test_release_lets_the_model_go(folder):
    """After release nothing holds the weights."""
    model = LocalModel.load(folder)
    model.release()
    assert model.model is None


def test_the_checkpoint_s_own_sampling_settings_are_not_used(folder, model):
    """temperature and do_sample of generation_config.json do not leak into our sampling."""
    stored = json.loads((Path(folder) / "generation_config.json").read_text(encoding="utf-8"))
    assert stored["do_sample"]
    assert model.model.generation_config.do_sample is False
