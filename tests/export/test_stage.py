"""Exporting a student: a folder that transformers loads, whole or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from distill.errors import DataError, RunError, UsageError
from distill.export.stage import export
from distill.recipe.schema import Export

PROMPT: dict[str, Any] = {
    "task": {"kind": "classify", "labels": ["billing", "bug"], "input": "text", "system": None},
    "template": "{{ input }}\nLabel:",
}
LINEAGE: dict[str, Any] = {
    "name": "tickets",
    "recipe_hash": "abc123",
    "seed": 7,
    "base": None,
    "method": "full",
    "teachers": [{"name": "big", "model": "some-70b"}],
    "versions": {"torch": "2"},
    "max_tokens": 12,
}
IDS = torch.tensor([[1, 3, 4, 5, 2]])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def test_a_full_model_is_copied_and_loads(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    """The copy gives the same logits, with tokenizer and template, without training leftovers."""
    student = tiny_folder()
    (student / "optimizer.pt").write_bytes(b"x")
    (student / "training_args.bin").write_bytes(b"x")
    done = export(student, tmp_path / "out", Export(), PROMPT, LINEAGE)
    assert done.merged is None
    assert {"distill.json", "README.md", "model.safetensors", "generation_config.json"} <= set(
        done.files
    )
    assert not {"optimizer.pt", "training_args.bin"} & set(done.files)
    whole = AutoModelForCausalLM.from_pretrained(done.folder)
    assert torch.equal(logits(whole), logits(AutoModelForCausalLM.from_pretrained(student)))
    assert AutoTokenizer.from_pretrained(done.folder).chat_template


def test_an_adapter_is_merged_into_its_base(
    tiny_folder: Callable[..., Path], adapter_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The merged model equals base plus adapter, differs from the base, and says how far it is."""
    base = tiny_folder("base")
    adapter = adapter_folder(base, ["q_proj", "down_proj", "lm_head"])
    done = export(adapter, tmp_path / "out", Export(), PROMPT, LINEAGE, ["bug a b", "", "c"])
    merged = logits(AutoModelForCausalLM.from_pretrained(done.folder))
    assert torch.allclose(merged, logits(AutoModelForCausalLM.from_pretrained(adapter)), atol=1e-4)
    assert not torch.allclose(merged, logits(AutoModelForCausalLM.from_pretrained(base)), atol=1e-2)
    assert done.merged is not None
    assert done.merged.max_difference < 1e-4
    assert (done.merged.rows, done.merged.tokens) == (2, 4)
    assert "adapter_config.json" not in done.files
    assert AutoTokenizer.from_pretrained(done.folder).get_vocab()["bug"] == 4
    assert "adapter merged into" in (done.folder / "README.md").read_text()


def test_an_adapter_can_stay_an_adapter(
    tiny_folder: Callable[..., Path], adapter_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """With merge: false the adapter travels as it is and still loads on its base."""
    adapter = adapter_folder(tiny_folder("base"), ["q_proj"])
    done = export(adapter, tmp_path / "out", Export(merge=False), PROMPT, LINEAGE)
    assert "adapter_model.safetensors" in done.files
    assert torch.equal(
        logits(AutoModelForCausalLM.from_pretrained(done.folder)),
        logits(AutoModelForCausalLM.from_pretrained(adapter)),
    )


def test_a_tied_head_with_an_adapter_is_refused(
    tiny_folder: Callable[..., Path], adapter_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Merging into a head that shares its weights would change the embeddings too."""
    adapter = adapter_folder(tiny_folder("base", tied=True), ["q_proj", "lm_head"])
    with pytest.raises(RunError, match="shares its weights"):
        export(adapter, tmp_path / "out", Export(), PROMPT, LINEAGE)
    assert not (tmp_path / "out").exists()


def test_a_tied_base_merges_when_its_head_is_left_alone(
    tiny_folder: Callable[..., Path], adapter_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A tied model whose adapter leaves head and embeddings alone is no trouble."""
    adapter = adapter_folder(tiny_folder("base", tied=True), ["q_proj", "down_proj"])
    done = export(adapter, tmp_path / "out", Export(), PROMPT, LINEAGE)
    merged = logits(AutoModelForCausalLM.from_pretrained(done.folder))
    assert torch.allclose(merged, logits(AutoModelForCausalLM.from_pretrained(adapter)), atol=1e-4)


def test_an_adapter_without_its_base_says_so(
    tiny_folder: Callable[..., Path], adapter_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A base that is gone gives one clear problem."""
    adapter = adapter_folder(tiny_folder("base"), ["q_proj"])
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": str(tmp_path / "gone")})
    )
    with pytest.raises(DataError, match="cannot be put on"):
        export(adapter, tmp_path / "out", Export(), PROMPT, LINEAGE)
    (adapter / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": None})
    )
    with pytest.raises(DataError, match="does not say which model"):
        export(adapter, tmp_path / "out", Export(), PROMPT, LINEAGE)


def test_an_earlier_export_is_replaced_whole(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Nothing of the old folder stays, and no temporary folder is left beside it."""
    out = tmp_path / "runs" / "student"
    export(tiny_folder("one"), out, Export(), PROMPT, LINEAGE)
    (out / "stale.txt").write_text("x")
    done = export(tiny_folder("two", seed=5), out, Export(card=False), PROMPT, LINEAGE)
    assert "stale.txt" not in done.files
    assert "README.md" not in done.files
    assert [path.name for path in out.parent.iterdir()] == ["student"]


def test_what_cannot_be_exported_is_refused(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """No model, no weights and the model's own folder are refused up front."""
    student = tiny_folder()
    with pytest.raises(DataError, match="no model in this folder"):
        export(tmp_path / "nothing", tmp_path / "out", Export(), PROMPT, LINEAGE)
    with pytest.raises(UsageError, match="own folder"):
        export(student, student / "out", Export(), PROMPT, LINEAGE)
    (student / "model.safetensors").unlink()
    with pytest.raises(DataError, match="safetensors"):
        export(student, tmp_path / "out", Export(), PROMPT, LINEAGE)


def test_distill_json_holds_what_predict_needs(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Prompt, labels, recipe hash and versions can be read back."""
    done = export(tiny_folder(), tmp_path / "out", Export(), PROMPT, LINEAGE)
    facts = json.loads((done.folder / "distill.json").read_text())
    assert facts["prompt"] == PROMPT
    assert facts["labels"] == ["billing", "bug"]
    assert facts["recipe_hash"] == "abc123"
    assert facts["versions"] == {"torch": "2"}
    assert facts["max_tokens"] == 12
    assert facts["teachers"] == [{"name": "big", "model": "some-70b"}]


def test_a_folder_that_cannot_be_written_is_one_clear_error(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A file where the run directory should be gives RunError, not a traceback."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="nothing that was there is lost"):
        export(tiny_folder(), tmp_path / "file" / "out", Export(), PROMPT, LINEAGE)


def test_a_classifiers_adapter_is_merged_with_its_head(tmp_path: Path) -> None:
    """The merged folder is a classifier of its own and answers as base, adapter and head did."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, BertConfig

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_labels=3,
    )  # fmt: skip
    base = AutoModelForSequenceClassification.from_config(config)
    base.save_pretrained(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    lora = LoraConfig(r=2, task_type="SEQ_CLS", target_modules="all-linear")
    adapted = get_peft_model(base, lora).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "adapter")
    _tokenizer().save_pretrained(tmp_path / "adapter")
    done = export(tmp_path / "adapter", tmp_path / "out", Export(), PROMPT, LINEAGE, ["bug a"])
    merged = AutoModelForSequenceClassification.from_pretrained(done.folder).eval()
    assert torch.allclose(logits(merged), logits(adapted), atol=1e-5)
    assert "adapter_config.json" not in done.files


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "</s>", "bug", "a"]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", eos_token="</s>", pad_token="</s>"
    )
