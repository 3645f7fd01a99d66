"""The loss inside the output layer: exact, and invisible wherever no targets are given."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from distill.errors import RecipeError
from distill.losses.fused_loss import DenseTargets, FusedPlan, HeadTargets
from distill.losses.objective import terms
from distill.recipe.training import ForwardKL, ReverseKL
from distill.train.fused_head import FusedHead, head_terms
from distill.train.self_test import self_test

V, WIDTH = 50, 47
SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "vocab_size": V}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LORA = {"r": 2, "lora_alpha": 6, "lora_dropout": 0.0, "task_type": "CAUSAL_LM"}
BASE, HEAD = ["q_proj", "v_proj"], ["q_proj", "lm_head"]


def _llama(tied=False):
    return LlamaConfig(tie_word_embeddings=tied, **SIZE, **HEADS)


CONFIGS = {
    "untied": _llama(),
    "tied": _llama(tied=True),
    "gpt2": GPT2Config(vocab_size=V, n_embd=16, n_layer=1, n_head=2, n_positions=32, **SPECIAL),
    "gemma2": Gemma2Config(final_logit_softcapping=2.0, head_dim=8, **SIZE, **HEADS, **SPECIAL),
    "cohere": CohereConfig(logit_scale=0.25, **SIZE, **HEADS, **SPECIAL),
    "granite": GraniteConfig(logits_scaling=3.0, **SIZE, **HEADS),
}
ADAPTERS = {
    "lora off head": (False, {"target_modules": BASE}),
    "lora on head": (False, {"target_modules": HEAD}),
    "lora on tied head": (True, {"target_modules": HEAD}),
    "modules to save": (False, {"target_modules": BASE, "modules_to_save": ["lm_head"]}),
}
CASES = [*CONFIGS, *ADAPTERS, "frozen head"]


def _model(case, dtype=torch.float64):
    torch.manual_seed(0)
    if case in ADAPTERS:
        tied, options = ADAPTERS[case]
        base = AutoModelForCausalLM.from_config(_llama(tied))
        model = get_peft_model(base, LoraConfig(**LORA, **options))
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
    else:
        model = AutoModelForCausalLM.from_config(CONFIGS.get(case, CONFIGS["untied"]))
    if case == "frozen head":
        model.lm_head.requires_grad_(False)
    for parameter in model.parameters():
        parameter.data.mul_(3)  # logits that a soft cap can be told from
    return model.to(dtype).eval()


def _inputs():
    torch.manual_seed(1)
    ids = torch.randint(V, (3, 7))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    labels = ids.where((torch.rand(3, 7) < 0.6) & (mask == 1), -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _targets(inputs, dtype=torch.float64, loss=None):
    torch.manual_seed(2)
    memory, head = nn.Embedding(V, 8, dtype=dtype), nn.Linear(8, V + 6, dtype=dtype)
    keep = inputs["labels"][:, 1:] != -100
    states = memory(inputs["input_ids"][:, :-1][keep]).detach()
    return HeadTargets(
        labels_N=inputs["labels"][:, 1:][keep],
        loss=loss or ForwardKL(weight=0.7, ce=0.3),
        teacher=DenseTargets(states, head.requires_grad_(False)),
        width=WIDTH,
        keep_BT=keep,
    )


def _naive(model, inputs, targets):
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    logits = model(**given).logits[:, :-1][targets.keep_BT]
    teacher = targets.teacher.project(targets.teacher.hidden_MH)[:, :WIDTH]
    return terms(logits, targets.labels_N, targets.loss, teacher, None, WIDTH)


def _gradients(model):
    found = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    return found


@pytest.mark.parametrize("schedule", ["forward", "recompute"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients_are_those_of_the_whole_logits(case, dtype, schedule):
    """Every kind of output layer, every parameter; what the model does to its logits included."""
    model, inputs = _model(case, dtype), _inputs()
    targets = _targets(inputs, dtype)
    want = _naive(model, inputs, targets)
    want.weighted.backward()
    theirs = _gradients(model)
    FusedHead.install(model, FusedPlan(schedule, budget_bytes=4 * V * dtype.itemsize * 3))
    found = head_terms(model, inputs, targets)
    found.weighted.backward()
    ours = _gradients(model)
    tight = 1e-12 if dtype == torch.float64 else 1e-6
    assert float(found.weighted.detach()) == pytest.approx(float(want.weighted.detach()), rel=tight)
    assert float(found.kd) == pytest.approx(float(want.kd.sum.detach()), rel=tight)
    assert float(found.ce) == pytest.approx(float(want.ce.sum.detach()), rel=tight)
    assert ours.keys() == theirs.keys()
    # float32: the backbone's own backward pass rounds too, of gradients that are large sums, and
    # by how much depends on the processor's kernels (5.7e-6 seen).
    loose = 1e-12 if dtype == torch.float64 else 1e-5
    for name, gradient in ours.items():
        assert gradient is not None, name
        assert (gradient - theirs[name]).abs().max() <= loose * theirs[name].abs().max(), name
    if "lora on" in case:
        assert any("lm_head" in name and "lora_A" in name for name in ours)


def _adapter_config(path):
    """What it holds; peft writes the target modules in the order of a set."""
    config = json.loads(path.read_text(encoding="utf-8"))
    return config | {"target_modules": sorted(config["target_modules"])}


@pytest.mark.parametrize("case", CASES)
def test_without_targets_nothing_has_changed(case, tmp_path):
    """Logits, generation, state dict, saved files and the reloaded model are the plain ones."""
    plain, inputs = _model(case, torch.float32), _inputs()
    fused = copy.deepcopy(plain)
    FusedHead.install(fused)
    ids = inputs["input_ids"]
    assert torch.equal(fused(ids).logits, plain(ids).logits)
    options = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(
        fused.generate(input_ids=ids, **options), plain.generate(input_ids=ids, **options)
    )
    assert list(fused.state_dict()) == list(plain.state_dict())
    for model, folder in ((plain, "plain"), (fused, "fused")):
        model.save_pretrained(tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "plain").iterdir())
    assert sorted(path.name for path in (tmp_path / "fused").iterdir()) == names
    for name in names:
        ours, theirs = (tmp_path / folder / name for folder in ("fused", "plain"))
        if name.endswith(".safetensors"):
            for key, value in load_file(theirs).items():
                assert torch.equal(load_file(ours)[key], value)
        elif name == "adapter_config.json":
            assert _adapter_config(ours) == _adapter_config(theirs)
        else:
            assert ours.read_bytes() == theirs.read_bytes()
    if case not in ADAPTERS:
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "fused")
        assert type(again) is type(plain)
        assert torch.equal(again(ids).logits, plain(ids).logits)


def test_installing_twice_and_removing():
    """A second installation replaces the first; removing leaves the classes of before."""
    model, inputs = _model("lora on head"), _inputs()
    causal = model.get_base_model()
    kinds = [type(causal), type(causal.lm_head)]
    FusedHead.install(model)
    found = FusedHead.install(model, FusedPlan("recompute"))
    targets = _targets(inputs)
    want = float(_naive(model, inputs, targets).weighted.detach())
    assert float(head_terms(model, inputs, targets).weighted.detach()) == pytest.approx(want)
    found.remove()
    assert [type(causal), type(causal.lm_head)] == kinds
    assert not [name for name in vars(causal.lm_head) if name.startswith("distill")]


def test_installed_before_lora_on_the_head_gives_no_number():
    """Too early: the adapter would be added to a loss. An error, and a second try is refused."""
    model, inputs = AutoModelForCausalLM.from_config(_llama()), _inputs()
    FusedHead.install(model)
    late = get_peft_model(model, LoraConfig(**LORA, target_modules=HEAD))
    with pytest.raises(AttributeError):
        head_terms(late, inputs, _targets(inputs, torch.float32))
    with pytest.raises(RecipeError):
        FusedHead.install(late)


def test_merged_and_switched_off_adapters_are_followed():
    """LoRA on the head counts when it is active and not merged already."""
    model, inputs = _model("lora on head"), _inputs()
    targets = _targets(inputs)
    FusedHead.install(model)
    head = model.get_base_model().lm_head
    for change in (head.merge, head.unmerge, lambda: head.enable_adapters(False)):
        change()
        want = float(_naive(model, inputs, targets).weighted.detach())
        assert float(head_terms(model, inputs, targets).weighted.detach()) == pytest.approx(want)


class _OwnLinear(nn.Linear):
    pass


def _refused():
    llama = LlamaForCausalLM(_llama())
    yield "DoRA", get_peft_model(llama, LoraConfig(**LORA, target_modules=HEAD, use_dora=True))
    llama = LlamaForCausalLM(_llama())
    dropout = {**LORA, "lora_dropout": 0.1}
    yield "dropout", get_peft_model(llama, LoraConfig(**dropout, target_modules=HEAD))
    llama = LlamaForCausalLM(_llama())
    yield "bias", get_peft_model(llama, LoraConfig(**LORA, target_modules=HEAD, lora_bias=True))
    llama = LlamaForCausalLM(_llama(tied=True))
    tokens = LoraConfig(**LORA, target_modules=BASE, trainable_token_indices=[1, 2])
    yield "TokensWrapper", get_peft_model(llama, tokens)
    llama = LlamaForCausalLM(_llama())
    llama.lm_head = _OwnLinear(16, V, bias=False)
    yield "_OwnLinear", llama


@pytest.mark.parametrize(("what", "model"), list(_refused()), ids=lambda one: str(one)[:13])
def test_what_would_be_wrong_is_refused(what, model):
    """DoRA, dropout or a bias on the head, and output layers of unknown classes."""
    before = type(model.get_output_embeddings())
    with pytest.raises(RecipeError) as caught:
        FusedHead.install(model)
    problem = caught.value.problems[0]
    assert what in problem.found
    assert "target_modules" in problem.fix
    assert type(model.get_output_embeddings()) is before


@pytest.mark.parametrize("case", CASES)
def test_the_self_test_passes_for_known_models(case):
    """The models whose logits we know, in float32, bfloat16 and mixed precision."""
    inputs = _inputs()
    for dtype in (torch.float32, torch.bfloat16):
        model = _model(case, dtype)
        FusedHead.install(model)
        self_test(model, inputs, _targets(inputs, dtype))
    model = _model(case, torch.float32).train()
    FusedHead.install(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        self_test(model, inputs, _targets(inputs, torch.float32))
    assert model.training


class _Rescaled(LlamaForCausalLM):
    def forward(self, *args, **given):
        out = super().forward(*args, **given)
        out.logits = out.logits * 1.25
        return out


def test_the_self_test_catches_what_a_model_does_on_its_own():
    """A model that scales its logits without saying so is refused."""
    torch.manual_seed(0)
    model, inputs = _Rescaled(_llama()), _inputs()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    FusedHead.install(model)
    with pytest.raises(RecipeError) as caught:
        self_test(model, inputs, _targets(inputs, torch.float32))
    assert "llama" in caught.value.problems[0].found


def test_mixed_precision_stops_before_the_head():
    """Under bfloat16 autocast the loss is that of the same hidden states in float32."""
    model, inputs = _model("lora on head", torch.float32), _inputs()
    targets = _targets(inputs, torch.float32)
    seen = []
    head = model.get_base_model().lm_head
    head.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    FusedHead.install(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = head_terms(model, inputs, targets).weighted
    plain = head(seen[0].float(), distill_targets=targets)[0]
    assert torch.equal(mixed, plain)


def test_a_batch_without_labels_gives_zeros():
    """Nothing supervised: a loss of 0 that reaches every parameter."""
    model, inputs = _model("untied"), _inputs()
    inputs["labels"] = torch.full_like(inputs["labels"], -100)
    FusedHead.install(model)
    loss = head_terms(model, inputs, _targets(inputs, loss=ReverseKL(kind="reverse_kl"))).weighted
    loss.backward()
    assert float(loss.detach()) == 0
    assert not any(gradient.any() for gradient in _gradients(model).values())


class _Logits(TorchDispatchMode):
    """The most rows that anything as wide as the vocabulary has."""

    rows = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, list | tuple) else [out]:
            if isinstance(one, torch.Tensor) and one.dim() and V <= one.shape[-1] <= V + 6:
                self.rows = max(self.rows, one.numel() // one.shape[-1])
        return out


@pytest.mark.parametrize("case", ["untied", "lora on head"])
def test_a_training_step_holds_no_whole_logits(case):
    """Forward and backward through the model: never more logits than a chunk's, either model's."""
    model, inputs = _model(case, torch.float32).train(), _inputs()
    inputs = {name: value.repeat(40, 1) for name, value in inputs.items()}
    targets = _targets(inputs, torch.float32)
    FusedHead.install(model, FusedPlan(budget_bytes=20 * V * 4 * 3))
    with _Logits() as watch:
        head_terms(model, inputs, targets).weighted.backward()
    assert len(targets.labels_N) == 280
    assert watch.rows == 20
