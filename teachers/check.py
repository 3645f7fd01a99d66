"""Is an answer usable? The same checks for every adapter, whatever its server promised."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from teachers.choices import match_choice
from teachers.errors import TeacherError
from teachers.protocol import Answer, Ask, Message

CORRECTION = "That answer cannot be used."
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.S)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_OUT_OF = re.compile(r"\s*(?:/|out of)\s*\d+", re.I)


def check_answer(ask: Ask, answer: Answer) -> Answer:
    """The answer in the form that the ask allows.

    Raises: TeacherError that carries the answer, since it was paid for.
    """
    if answer.finish == "content_filter":
        raise _bad("content_filter", "the server's content filter stopped this answer", answer)
    if answer.finish == "length" and not ask.allow_truncated:
        tokens = answer.usage.output_tokens
        raise _bad(
            "truncated", f"stopped at the token limit ({tokens} tokens); raise max_tokens", answer
        )
    if not answer.text.strip():
        raise _bad("empty", "the answer has no text", answer)
    if ask.choices is not None:
        return replace(answer, text=_choice(ask.choices, answer))
    if ask.schema is not None:
        return replace(answer, text=_json(ask.schema, answer))
    return answer


def corrected(ask: Ask, text: str, why: str) -> Ask:
    """The same ask with the unusable answer and a reminder of what is allowed behind it."""
    if ask.choices is not None:
        rule = f"Answer with exactly one of these and nothing else: {' | '.join(ask.choices)}"
    else:
        rule = f"Answer with JSON only, nothing around it. What was wrong: {why}"
    turns = (Message("assistant", text[:2000]), Message("user", f"{CORRECTION} {rule}"))
    return replace(ask, messages=(*ask.messages, *turns))


def without_corrections(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation as it was before any reminder of `corrected`."""
    while len(messages) > 2 and messages[-1].content.startswith(CORRECTION):
        messages = messages[:-2]
    return messages


def _bad(kind: str, message: str, answer: Answer) -> TeacherError:
    return TeacherError(kind, message, None, answer)


def _choice(choices: tuple[str, ...], answer: Answer) -> str:
    chosen = match_choice(answer.text, choices)
    if chosen is None:
        shown = answer.text.strip()[:80]
        raise _bad("parse", f"{shown!r} is not one of: {', '.join(choices)}", answer)
    return chosen


def _json(schema: Any, answer: Answer) -> str:
    """The answer's JSON text, without what chat models like to put around it."""
    text = _bare(answer.text.strip(), schema)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _bad("parse", f"not JSON: {exc}", answer) from None
    problem = _mismatch(schema, value)
    if problem:
        raise _bad("schema", problem, answer)
    return text


def _bare(text: str, schema: Any) -> str:
    """What stands in the only code fence, or the only number where a number was asked for.

    Nothing is repaired: two fences or two numbers are left as they are, and fail.
    """
    fenced = _FENCED.findall(text)
    if len(fenced) == 1:
        text = fenced[0].strip()
    if isinstance(schema, Mapping) and schema.get("type") in ("integer", "number"):
        numbers = _NUMBER.findall(_OUT_OF.sub("", text))
        if len(numbers) == 1:
            return str(numbers[0])
    return text


def _mismatch(schema: Any, value: Any) -> str | None:
    # Imported here: it costs a tenth of a second that asks without a schema should not pay.
    import jsonschema
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        # An empty registry: a $ref to an address is never fetched.
        errors = kind(schema, registry=Registry()).iter_errors(value)
        first = jsonschema.exceptions.best_match(errors)
    except (jsonschema.SchemaError, Unresolvable) as exc:
        raise TeacherError("user_code", f"the JSON Schema itself is wrong: {exc}") from None
    if first is None:
        return None
    where = first.json_path
    return f"{where}: {first.message[:300]}"
