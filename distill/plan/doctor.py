"""The looks of `distill doctor`: each takes plain things and says what it saw.

A look never raises for what it is there to find; what stops it from looking is a finding too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from distill.errors import DistillError, RecipeError
from distill.rows.encode import Encoded
from distill.signals.pieces import piece_bytes
from distill.signals.vocabulary import shared_width
from teachers import chat_format
from teachers.errors import ConfigError
from teachers.protocol import Message

CUT_SHARE = 0.1
"""Share of rows cut at max_length from which on it is a finding."""
PROBE = (Message("user", "Name a colour."), Message("assistant", "blue"))


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw."""

    check: str
    state: Literal["ok", "finding", "skipped"]
    told: str
    key: str | None = None
    fix: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The look as plain data."""
        return asdict(self)


def look_at_tokenizer(tokenizer: Any, texts: Sequence[str]) -> Look:
    """Whether the texts that the student must write come back as they were."""
    unknown = tokenizer.unk_token_id
    for text in texts:
        ids = chat_format.completion_ids(tokenizer, text)
        back = chat_format.completion_text(tokenizer, ids)
        if unknown is not None and unknown in ids:
            found = f"the tokenizer has no tokens for {text[:60]!r}"
        elif back.strip() != text.strip():
            found = f"the tokenizer writes {text[:60]!r} and reads {back[:60]!r}"
        else:
            continue
        fix = "Take a tokenizer that covers the task's language and letters."
        return Look("tokenizer", "finding", found, "student.tokenizer", fix)
    return Look("tokenizer", "ok", f"{len(texts)} texts come back as they were")


def look_at_template(tokenizer: Any) -> Look:
    """Whether the chat template writes an answer behind the prompt that it asks with."""
    if not chat_format.has_chat_template(tokenizer):
        return Look("template", "ok", "no chat template: prompt and answer are joined as they are")
    try:
        prompt = chat_format.template_ids(tokenizer, PROBE[:1], generation_prompt=True)
        full = chat_format.template_ids(tokenizer, PROBE, generation_prompt=False)
    except ConfigError as error:
        return Look("template", "finding", str(error), "student.model")
    if full[: len(prompt)] == prompt:
        return Look("template", "ok", "the answer stands behind the prompt that asks for it")
    found = "the chat template writes the prompt of a finished conversation differently"
    return Look("template", "finding", found, "student.model", "Mend the chat template.")


def look_at_ends(tokenizer: Any, generation: Any) -> Look:
    """Whether the model stops at the token that its chat template closes an answer with."""
    ends = chat_format.end_ids(tokenizer, generation)
    fix = "Set eos_token_id in the student's generation_config.json."
    if not ends:
        return Look("eos", "finding", "no token ends an answer", "student.model", fix)
    shown = ", ".join(repr(tokenizer.convert_ids_to_tokens(end)) for end in ends)
    if not chat_format.has_chat_template(tokenizer):
        return Look("eos", "ok", f"answers end with {shown}")
    try:
        prompt = chat_format.template_ids(tokenizer, PROBE[:1], generation_prompt=True)
        full = chat_format.template_ids(tokenizer, PROBE, generation_prompt=False)
    except ConfigError as error:
        return Look("eos", "finding", str(error), "student.model", fix)
    written = full[len(prompt) :]
    if any(token in ends for token in written):
        return Look("eos", "ok", f"answers end with {shown}, which the chat template writes")
    last = tokenizer.convert_ids_to_tokens(written[-1:])
    found = f"the chat template closes an answer with {last}, and the model ends with {shown}"
    return Look("eos", "finding", found, "student.model", fix)


def look_at_vocabularies(student: Any, teacher: Any) -> Look:
    """Whether student and teacher mean the same by every id."""
    try:
        width = shared_width(student, teacher)
    except RecipeError as error:
        [problem] = error.problems
        return Look("vocabulary", "finding", problem.found, problem.key, problem.fix)
    return Look("vocabulary", "ok", f"student and teacher share {width} tokens")


def look_at_pieces(student: Any, teacher: Any) -> Look:
    """Whether one's probabilities can be summed up by the other's tokens, aligned by bytes."""
    for whose, tokenizer in (("student", student), ("teacher", teacher)):
        if piece_bytes(tokenizer) is None:
            found = f"the pieces of the {whose}'s tokenizer do not join back to the text"
            fix = "Use the signal text, or byte-level or SentencePiece vocabularies."
            return Look("vocabulary", "finding", found, "train.signal.cross_tokenizer", fix)
    told = "the teacher's probabilities are summed up by the student's tokens, aligned by bytes"
    return Look("vocabulary", "ok", told)


def look_at_padding(tokenizer: Any, columns: int, whose: str = "student") -> Look:
    """Whether the model has a column for every token; more of them than tokens are masked."""
    tokens = max(tokenizer.get_vocab().values()) + 1
    if tokens > columns:
        found = f"the {whose}'s tokenizer has {tokens} tokens and its model {columns} columns"
        fix = "Take the tokenizer that belongs to the model, or resize its embeddings."
        return Look("padded_vocabulary", "finding", found, f"{whose}.model", fix)
    extra = f", {columns - tokens} columns are padding and are masked" if columns > tokens else ""
    return Look("padded_vocabulary", "ok", f"the {whose} has {tokens} tokens{extra}")


def look_at_masks(rows: Sequence[Encoded], max_length: int) -> Look:
    """Whether every row has tokens to learn, and few lose the end of their answer."""
    if not rows:
        return Look("masks", "skipped", "there are no rows yet: no dataset, gold or seeds")
    empty = sum(not any(row.supervised[1:]) for row in rows)
    cut = sum(row.truncated for row in rows)
    fix = f"Raise train.max_length ({max_length}), or drop long rows."
    if empty:
        found = f"{empty} of {len(rows)} rows have no token to learn"
        return Look("masks", "finding", found, "train.max_length", fix)
    if cut > CUT_SHARE * len(rows):
        found = f"{cut} of {len(rows)} rows lose the end of their answer"
        return Look("masks", "finding", found, "train.max_length", fix)
    learnt = sum(sum(row.supervised) for row in rows)
    total = sum(len(row.ids) for row in rows)
    return Look("masks", "ok", f"{learnt} of {total} tokens of {len(rows)} rows are learnt")


def show_mask(tokenizer: Any, row: Encoded) -> list[dict[str, Any]]:
    """A row in runs of tokens: {text, tokens, learnt}."""
    runs: list[dict[str, Any]] = []
    start = 0
    for at in range(1, len(row.ids) + 1):
        if at == len(row.ids) or row.supervised[at] != row.supervised[start]:
            ids = row.ids[start:at]
            text = tokenizer.decode(ids, skip_special_tokens=False)
            runs.append({"text": text, "tokens": len(ids), "learnt": row.supervised[start]})
            start = at
    return runs


def look_at_alignment(whose: str, loss: float, vocabulary: int, key: str) -> Look:
    """Whether a model knows the texts that it is to teach or to go on from. Units: nats a token."""
    uniform = math.log(vocabulary)
    told = f"{whose} has a loss of {loss:.2f} nats a token on the rows' answers, "
    told += f"and a guess {uniform:.2f}"
    if loss < uniform:
        return Look("alignment", "ok", told)
    fix = "Its weights and its tokenizer do not belong together, or the weights are damaged."
    return Look("alignment", "finding", told, key, fix)


def look_at_memory(need: int, have: int, where: str, shown: tuple[str, str]) -> Look:
    """Whether the forecast fits. Units: bytes; `shown` are both in words."""
    told = f"training takes about {shown[0]} {where}, which has {shown[1]}"
    if need <= have:
        return Look("memory", "ok", told)
    fix = "Take method: lora, a smaller micro_batch or max_length, gradient checkpointing or zero3."
    return Look("memory", "finding", told, "train.micro_batch", fix)


def look_at_disk(need: int, free: int, shown: tuple[str, str]) -> Look:
    """Whether two checkpoints and the student fit. Units: bytes; `shown` are both in words."""
    told = f"checkpoints and student take about {shown[0]}, and {shown[1]} are free"
    if need <= free:
        return Look("disk", "ok", told)
    return Look("disk", "finding", told, None, "Free some space, or name another --run-dir.")


def look_at_launcher(
    batch: int, micro_batch: int | None, processes: int, devices: int, *, deepspeed: bool | None
) -> Look:
    """Whether the batch divides and the processes have devices; `deepspeed`: wanted and there."""
    share = batch // processes
    if batch % processes:
        found = f"{batch} rows of a step do not divide over {processes} processes"
        return Look(
            "launcher", "finding", found, "train.batch", "Make one a multiple of the other."
        )
    if micro_batch and share % micro_batch:
        found = f"a micro-batch of {micro_batch} does not divide the {share} rows of one process"
        return Look("launcher", "finding", found, "train.micro_batch", "Take a divisor.")
    if devices and processes > devices:
        found = f"{processes} processes, and {devices} visible GPUs"
        return Look("launcher", "finding", found, "train.processes", f"At most {devices}.")
    if deepspeed is False:
        fix = "Type: pip install 'distill-kit[train]'"
        return Look("launcher", "finding", "deepspeed is not installed", "train.deepspeed", fix)
    where = f"{processes} processes" if processes > 1 else "one process"
    return Look("launcher", "ok", f"{where}, {share} rows of a step each")


def look_at_head(student: Mapping[str, Any], *, tied: bool, stage: str | None) -> Look:
    """Whether an adapter may change the output layer, under ZeRO-3 and beside tied embeddings.

    `student` is the recipe's, as plain data.
    """
    lora = student.get("lora") or {}
    adapted = student.get("method") in ("lora", "qlora")
    targets, saved = lora.get("target_modules"), lora.get("modules_to_save") or ()
    on_head = adapted and isinstance(targets, list) and "lm_head" in targets
    key = "student.lora.target_modules"
    if on_head and tied:
        found = "an adapter on a head that shares its weights with the embeddings cannot be merged"
        return Look("head", "finding", found, key, "Leave lm_head out of it.")
    if on_head and (lora.get("use_dora") or lora.get("dropout")):
        what = "DoRA" if lora.get("use_dora") else "dropout"
        found = f"the loss inside the head knows no {what} there"
        return Look("head", "finding", found, key, f"Leave lm_head or {what} out of it.")
    if adapted and tied and ({"lm_head", "embed_tokens"} & set(saved)):
        found = "modules_to_save takes one of two layers that share their weights"
        return Look("head", "finding", found, "student.lora.modules_to_save", "Leave it out.")
    if student.get("method") == "qlora" and stage == "zero3":
        told = "4-bit weights under ZeRO-3 need bnb_4bit_quant_storage equal to the compute dtype"
        return Look("head", "ok", told)
    sharded = ", gathered for the loss under ZeRO-3" if stage == "zero3" else ""
    return Look("head", "ok", f"the output layer is {'tied' if tied else 'its own'}{sharded}")


def unseen(check: str, error: DistillError | Exception, key: str | None = None) -> Look:
    """A look that could not be taken."""
    return Look(check, "finding", f"cannot be looked at: {error}", key)
