"""Rows of a judge with every answer that it might have given at the verdict's one position.

What is written before the verdict stays as the row has it. Each allowed answer is the tokens that
follow there, so answers share what they begin with: a tree, whose nodes are states of the student.
Most scales are one token deep, and the row itself then holds all that is needed; for deeper ones an
answer whose beginning the row does not share is read on a line of its own, a branch.
Shapes: R rows with a verdict, S allowed answers, L tokens of the longest, M nodes, K tokens behind
a node at most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.errors import DataError, Problem
from distill.losses.verdict import clash
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import JudgePairwiseTask, labels_of
from distill.rows.encode import encode
from distill.rows.readers import read_numbered
from distill.train.collate import IGNORED, Collator, EncodedRow
from distill.train.rows import RowFormat
from distill.train.soft_labels import soft_labels
from teachers.protocol import Message

_PREFERENCE = {"a": 0.0, "tie": 0.5, "b": 1.0}
_ORDERS = {
    "ranked": {"A": "a", "B": "b", "TIE": "tie"},
    "ranked_swapped": {"A": "b", "B": "a", "TIE": "tie"},
}
"""What strategies call the two readings of a pair, and which answer a verdict means in each."""


@dataclass(frozen=True, slots=True)
class Node:
    """A state after which answers part."""

    line: int
    """0: the row itself; else the branch with this number, from 1."""
    at: int
    """The token whose state it is."""
    ids: tuple[int, ...]
    """What may follow."""


@dataclass(frozen=True, slots=True)
class AnswerTree:
    """The allowed answers of one row, as tokens."""

    start: int
    """The position at which the answers part."""
    answers: tuple[tuple[int, ...], ...]
    branches: tuple[tuple[int, ...], ...]
    """Answers that are read on a line of their own."""
    nodes: tuple[Node, ...]
    paths: tuple[tuple[tuple[int, int], ...], ...]
    """For every token of every answer its node, and its place among what may follow there."""


@dataclass(frozen=True, slots=True)
class JudgedRow(EncodedRow):
    """A row with the answers that its judge might have given."""

    tree: AnswerTree | None = None
    p_S: tuple[float, ...] = ()
    """How likely each answer is, as votes or label probabilities have it; else the written one."""


class AnswerScale:
    """The allowed answers in ascending order, and what each is worth."""

    def __init__(self, prompt: TaskPrompt) -> None:
        labels = labels_of(prompt.task) or []
        if isinstance(prompt.task, JudgePairwiseTask):
            labels = sorted(labels, key=lambda name: _PREFERENCE.get(name, 2.0))
        self.labels: tuple[str, ...] = tuple(labels)
        self.scores: tuple[float, ...] = _worth(self.labels)


def judged_rows(
    path: Path, rows: Sequence[Any], form: RowFormat, prompt: TaskPrompt, soft: Sequence[str]
) -> list[EncodedRow]:
    """The rows of a dataset's file with their answers.

    `soft` are fields whose votes or log-probabilities are a distribution over the answers. A row
    whose verdict was cut off stays as it is, and is learnt from its text.
    Raises: DataError where a row's answer is none of the allowed ones, or not the last thing that
    the student writes.
    """
    scale = AnswerScale(prompt)
    return [
        _judged(path, number, record, row, form, prompt, scale, soft)
        for (number, record), row in zip(read_numbered(path), rows, strict=True)
    ]


def _judged(
    path: Path,
    line: int | None,
    record: Mapping[str, Any],
    row: EncodedRow,
    form: RowFormat,
    prompt: TaskPrompt,
    scale: AnswerScale,
    soft: Sequence[str],
) -> EncodedRow:
    fields, output = record["fields"], prompt.task.output
    own = _own(fields.get(output), scale)
    if own is None:
        found = f"{fields.get(output)!r}, the {output} of row {row.id}, is not on the scale"
        raise _wrong(path, line, row.id, found, ", ".join(scale.labels))
    written = [prompt.completion({**fields, output: label}) for label in scale.labels]
    if (
        not _verdict_last(written, scale.labels)
        or written[own] != record["messages"][-1]["content"]
    ):
        found = f"row {row.id} does not end with its {output}, as task.completion writes it"
        raise _wrong(path, line, row.id, found, "texts whose last words are the answer")
    sequences = []
    for text in written:
        messages = [*record["messages"][:-1], {"role": "assistant", "content": text}]
        encoded = encode(
            form.tokenizer,
            [Message(turn["role"], turn["content"]) for turn in messages],
            chat=form.chat,
            end_id=form.end_id,
            max_length=form.max_length,
        )
        if encoded.truncated:
            return row
        sequences.append(encoded.ids)
    tree = answer_tree(sequences, own, closed=form.end_id is not None)
    if tree is None:
        found = "one allowed answer begins another, and nothing ends an answer"
        raise _wrong(path, line, row.id, found, "a tokenizer with an end token")
    shares = _shares(fields, soft, scale.labels, own)
    return JudgedRow(row.id, row.key, row.input_ids_T, row.labels_T, tree=tree, p_S=shares)


def answer_tree(sequences: Sequence[Sequence[int]], own: int, *, closed: bool) -> AnswerTree | None:
    """The tree of whole rows that differ in their answer; `own` is the one that was written.

    The closing token is scored where an answer begins another one, which would else be counted
    within it. None where that is so and there is none.
    """
    start = _shared(sequences)
    answers = [tuple(ids[start:]) for ids in sequences]
    bare = [answer[:-1] for answer in answers] if closed else answers
    if clash(bare) is not None:
        if not closed:
            return None
        bare = answers
    places: dict[tuple[int, ...], int] = {}
    nodes: list[Node] = []
    branches: list[tuple[int, ...]] = []
    for number in [own, *(at for at in range(len(bare)) if at != own)]:
        answer, line = bare[number], 0 if number == own else None
        for depth, token in enumerate(answer):
            begun = answer[:depth]
            if begun not in places:
                if line is None:
                    branches.append(answer)
                    line = len(branches)
                places[begun] = len(nodes)
                nodes.append(Node(line, start + depth - 1, ()))
            node = nodes[places[begun]]
            if token not in node.ids:
                nodes[places[begun]] = replace(node, ids=(*node.ids, token))
    paths = tuple(
        tuple(
            (places[answer[:depth]], nodes[places[answer[:depth]]].ids.index(token))
            for depth, token in enumerate(answer)
        )
        for answer in bare
    )
    return AnswerTree(start, tuple(bare), tuple(branches), tuple(nodes), paths)


class VerdictCollator(Collator):
    """Rows to one batch, their branches behind them."""

    def __call__(self, rows: Sequence[EncodedRow]) -> dict[str, Tensor]:
        """As the base class, with what finds the answers where any row has some.

        answer_at (M,): positions of the nodes, counted line after line without the last column;
        answer_ids (M, K): what may follow; answer_paths (R, S, L): places in (M, K) counted row
        after row, -1 behind an answer's end; answer_keys (R,): the rows.
        """
        lines = list(rows)
        for row in rows:
            tree = _tree(row)
            for branch in tree.branches if tree else ():
                lines.append(_branch(row, tree.start if tree else 0, branch))
        batch = super().__call__(lines)
        judged = [(at, tree) for at, row in enumerate(rows) if (tree := _tree(row)) is not None]
        if not judged:
            return batch
        numbers, starts = self._places([len(line.input_ids_T) for line in lines])
        width = batch["input_ids"].shape[1] - 1
        firsts = [number * width + start for number, start in zip(numbers, starts, strict=True)]
        keys = torch.tensor([rows[at].key for at, _ in judged])
        return batch | _answers(judged, firsts, len(rows)) | {"answer_keys": keys}


def sequences_of(logp_MK: Tensor, paths_RSL: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the answers' tokens, and which of them there are: twice (R, S, L)."""
    return logp_MK.flatten()[paths_RSL.clamp(min=0)], paths_RSL >= 0


def _answers(
    judged: Sequence[tuple[int, AnswerTree]], firsts: Sequence[int], branch: int
) -> dict[str, Tensor]:
    """The tensors of the answers.

    `judged`: places of the rows that have some; `firsts`: where the first token of every row and
    then of every branch stands; `branch`: how many of them are rows.
    """
    most = max(len(node.ids) for _, tree in judged for node in tree.nodes)
    longest = max(len(path) for _, tree in judged for path in tree.paths)
    at_M: list[int] = []
    ids_MK: list[list[int]] = []
    paths_RSL: list[list[list[int]]] = []
    for at, tree in judged:
        before = len(at_M)
        for node in tree.nodes:
            place = at if node.line == 0 else branch + node.line - 1
            at_M.append(firsts[place] + node.at)
            ids_MK.append([*node.ids, *[node.ids[0]] * (most - len(node.ids))])
        branch += len(tree.branches)
        flat = [[(before + node) * most + slot for node, slot in path] for path in tree.paths]
        paths_RSL.append([[*path, *[-1] * (longest - len(path))] for path in flat])
    return {
        "answer_at": torch.tensor(at_M),
        "answer_ids": torch.tensor(ids_MK),
        "answer_paths": torch.tensor(paths_RSL),
    }


def _tree(row: EncodedRow) -> AnswerTree | None:
    return row.tree if isinstance(row, JudgedRow) else None


def _branch(row: EncodedRow, start: int, answer: Sequence[int]) -> EncodedRow:
    ids_T = torch.cat([row.input_ids_T[:start], torch.tensor(answer)])
    return EncodedRow(row.id, row.key, ids_T, torch.full_like(ids_T, IGNORED), text_only=True)


def _shared(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all begin with, short of the last one of each."""
    most = min(map(len, sequences)) - 1
    first = sequences[0]
    differs = (at for at in range(most) if any(ids[at] != first[at] for ids in sequences))
    return next(differs, most)


def _own(value: Any, scale: AnswerScale) -> int | None:
    """Which of the answers a row's value is; a score may be a number."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return scale.labels.index(text) if text in scale.labels else None


def _verdict_last(texts: Sequence[str], labels: Sequence[str]) -> bool:
    heads = {text[: len(text) - len(label)] for text, label in zip(texts, labels, strict=True)}
    ends = zip(texts, labels, strict=True)
    return len(heads) == 1 and all(
        text.casefold().endswith(label.casefold()) for text, label in ends
    )


def _shares(
    fields: Mapping[str, Any], names: Sequence[str], labels: Sequence[str], own: int
) -> tuple[float, ...]:
    """Votes and label probabilities, unless they speak against the verdict that stands.

    A person may have changed it, and a verdict that changed with the order may count as a tie.
    """
    told = _both_orders(fields, labels) or soft_labels(fields, names, labels, labels[own])
    if told:
        p_S = torch.tensor(told, dtype=torch.float64).softmax(dim=0).tolist()
        if p_S[own] >= max(p_S) - 1e-9:
            return tuple(p_S)
    return tuple(float(at == own) for at in range(len(labels)))


def _both_orders(fields: Mapping[str, Any], labels: Sequence[str]) -> list[float] | None:
    """Log of the mean over both orders of a pair, where each tells a distribution."""
    found = []
    for name, means in _ORDERS.items():
        if f"{name}_logp" not in fields and f"{name}_votes" not in fields:
            return None
        shown = {answer: verdict for verdict, answer in means.items()}
        if not set(labels) <= shown.keys():
            return None
        told = soft_labels(fields, [name], [shown[label] for label in labels], "")
        if told is None:
            return None
        found.append(torch.tensor(told, dtype=torch.float64).softmax(dim=0))
    mean: list[float] = torch.stack(found).mean(dim=0).clamp(min=1e-30).log().tolist()
    return mean


def _worth(labels: Sequence[str]) -> tuple[float, ...]:
    """Numbers as they are, a pair's answers by who wins, other levels by their place."""
    if all(label in _PREFERENCE for label in labels):
        return tuple(_PREFERENCE[label] for label in labels)
    try:
        return tuple(float(label) for label in labels)
    except ValueError:
        return tuple(float(at) for at in range(len(labels)))


def _wrong(path: Path, line: int | None, row: str, found: str, allowed: str) -> DataError:
    problem = Problem(file=str(path), line=line, key=row, found=found, allowed=allowed)
    return DataError(found, [problem])
