"""Trains two steps on a dataset folder with TRL's own SFT trainer: `check_trl.py FOLDER`.

TRL is no dependency: run this with an interpreter that has it (tests/run/test_trl.py makes one).
The folder is loaded with `datasets.load_dataset`, TRL prepares it, and a tiny model of its own
learns two steps. Prints one JSON object: {trl, rows, columns, prepared, losses}.
"""

import json
import math
import sys
import tempfile
from typing import Any

STEPS = 2
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_tokenizer(texts: list[str]) -> Any:
    """A byte-level tokenizer with a chat template, learnt from the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["</s>", "<pad>"], initial_alphabet=alphabet
    )
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def check(folder: str, scratch: str) -> dict[str, Any]:
    """What TRL made of the folder's training rows."""
    import datasets
    import trl
    from transformers import LlamaConfig, LlamaForCausalLM

    rows = datasets.load_dataset(folder, cache_dir=scratch)["train"]
    tokenizer = tiny_tokenizer([turn["content"] for row in rows for turn in row["messages"]])
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    arguments = trl.SFTConfig(
        output_dir=scratch, max_steps=STEPS, per_device_train_batch_size=4, logging_steps=1,
        report_to=[], use_cpu=True, max_length=128, save_strategy="no",
    )  # fmt: skip
    trainer = trl.SFTTrainer(
        model=LlamaForCausalLM(config), args=arguments, train_dataset=rows,
        processing_class=tokenizer,
    )  # fmt: skip
    first = trainer.train_dataset[0]["input_ids"]
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "trl": trl.__version__,
        "rows": len(trainer.train_dataset),
        "columns": rows.column_names,
        "prepared": tokenizer.decode(first),
        "losses": [float(loss) for loss in losses],
    }


def main() -> None:
    """Prints what was found; a loss that is no number fails."""
    with tempfile.TemporaryDirectory() as scratch:
        found = check(sys.argv[1], scratch)
    print(json.dumps(found), flush=True)
    if len(found["losses"]) != STEPS or not all(map(math.isfinite, found["losses"])):
        sys.exit("TRL did not train on these rows")


if __name__ == "__main__":
    main()
