"""classifier."""

import pytest

from distill.errors import PrerequisiteError, RecipeError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A one-layer BERT of 20 words that calls a text toxic where it says "bad"."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "bad", "good", "dog", "cat"]
    tokenizer = Tokenizer(
        models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16, id2label={0: "ok", 1: "toxic"},
        label2id={"ok": 0, "toxic": 1},
    )  # fmt: skip
    bert = BertForSequenceClassification(config)
    optimizer = torch.optim.Adam(bert.parameters(), lr=1e-2)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )
    texts = ["bad dog", "good dog", "cat bad", "cat good", "dog", "bad", "good", "cat dog bad"]
    given = fast(texts, padding=True, return_tensors="pt")
    labels = torch.tensor(["bad" in text for text in texts]).long()
    for _ in range(60):
        optimizer.zero_grad()
        bert(**given, labels=labels).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("classifier")
    bert.save_pretrained(folder)
    fast.save_pretrained(folder)
    return str(folder)


def test_rows_of_the_wrong_label_go(sift, model):
    """Above `max` the label is the reason; the score is its probability, whatever the batches."""
    texts = [{"text": text} for text in ("good cat", "bad cat", "dog dog dog " * 9)]
    options = {"model": model, "label": "toxic", "max": 0.5}
    rows = sift({"classifier": options}, *texts, {"label": "a"})
    assert [row.reason for row in rows] == [
        None,
        "classifier:toxic",
        None,
        "classifier:missing_field",
    ]
    assert rows[1].score > 0.5
    alone = sift({"classifier": {**options, "batch": 1}}, *texts)
    assert alone[1].score == pytest.approx(rows[1].score, abs=1e-4)


def test_a_least_probability(reasons, model):
    """Below `min` the row is not of the label."""
    filter = {"classifier": {"model": model, "label": "ok", "min": 0.5}}
    assert reasons(filter, {"text": "bad dog"}, {"text": "good"}) == ["classifier:not_ok", None]


def test_labels_and_folders_that_there_are_not(sift, model, tmp_path):
    """The message names the labels, or what a folder must hold."""
    with pytest.raises(RecipeError, match=r"no label 'rude' \(allowed: ok, toxic\)"):
        sift({"classifier": {"model": model, "label": "rude", "max": 0.5}})
    with pytest.raises(PrerequisiteError, match="no sequence classifier at"):
        sift({"classifier": {"model": str(tmp_path), "label": "ok", "min": 0.5}})
