"""classifier: drops rows by what a transformers sequence classifier says (extra `train`)."""

from collections.abc import Sequence
from typing import Any, ClassVar

from distill.errors import PrerequisiteError, Problem
from distill.filters.filter import Context, text_of_value
from distill.progress import Progress
from distill.recipe.filtering import ClassifierFilter
from distill.rows.row import Row, Verdict


class Classifier:
    """Any model of AutoModelForSequenceClassification: toxicity, quality, topic."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: ClassifierFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        if spec.min is None and spec.max is None:
            raise context.refuse("classifier says no limit", allowed="min, max")
        self._min = 0.0 if spec.min is None else spec.min
        self._max = 1.0 if spec.max is None else spec.max
        self._batch, self._listen = spec.batch, context.listen
        self._model, self._tokenizer = _load(context.model(spec.model))
        names = [str(name) for _, name in sorted(self._model.config.id2label.items())]
        if spec.label not in names:
            raise context.refuse(
                f"the classifier has no label {spec.label!r}", allowed=", ".join(names)
            )
        self._label = names.index(spec.label)
        self._keeps = f"not_{spec.label}", spec.label

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with the label's name, or not_ and its name; the score is its probability."""
        # Texts of like length together: less padding, the same figures.
        texts = [text_of_value(row.fields[self.needs[0]]) for row in rows]
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        chances = [0.0] * len(texts)
        for start in range(0, len(order), self._batch):
            part = order[start : start + self._batch]
            for at, chance in zip(part, self._chances([texts[at] for at in part]), strict=True):
                chances[at] = chance
            self._listen(Progress("filter", start + len(part), len(rows), {"filter": "classifier"}))
        return [self._verdict(chance) for chance in chances]

    def _chances(self, texts: list[str]) -> list[float]:
        import torch

        limit = self._model.config.to_dict().get("max_position_embeddings") or 512
        limit = min(limit, self._tokenizer.model_max_length)
        given = self._tokenizer(
            texts, padding=len(texts) > 1, truncation=True, max_length=limit, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = self._model(**given.to(self._model.device)).logits.float()
        # One label, or labels that do not exclude each other, have a probability each.
        several = self._model.config.problem_type == "multi_label_classification"
        alone = several or logits.shape[1] == 1
        chance = logits.sigmoid() if alone else logits.softmax(dim=1)
        return [float(value) for value in chance[:, self._label].tolist()]

    def _verdict(self, chance: float) -> Verdict:
        low, high = self._keeps
        reason = low if chance < self._min else high if chance > self._max else None
        return Verdict("classifier", reason is None, reason, chance)


def _load(source: str) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as missing:
        line = "pip install 'distill-kit[train]'"
        raise PrerequisiteError(
            f"{missing.name} is not installed; the classifier filter needs it: {line}",
            [Problem(found=f"package {missing.name} is missing", fix=line)],
        ) from missing
    try:
        model = AutoModelForSequenceClassification.from_pretrained(source, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        problem = Problem(
            found=f"no sequence classifier at {source!r}: {str(error).splitlines()[0][:300]}",
            fix="Give a folder with config.json, model.safetensors and a tokenizer, or a hub id.",
        )
        raise PrerequisiteError(str(problem), [problem]) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.eval().to(device), tokenizer
