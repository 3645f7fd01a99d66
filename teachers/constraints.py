"""How servers are held to a closed list of answers while they write: each in its own words.

OpenAI's own service can only be held to JSON objects, so choices go there as they are; whatever a
server was asked for, its answers are checked here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Dialect = Literal["vllm", "llama_cpp"]

OWNERS: Mapping[str, Dialect] = {"vllm": "vllm", "llamacpp": "llama_cpp"}
"""What /v1/models says in `owned_by`."""
FIELDS = frozenset({"structured_outputs", "guided_choice", "grammar"})


def dialect_of(models: Sequence[Any]) -> Dialect | None:
    """The words of the server that lists these models; None where it is not known to have any."""
    owners = [str(model.get("owned_by")) for model in models if isinstance(model, Mapping)]
    return next((OWNERS[owner] for owner in owners if owner in OWNERS), None)


def choice_fields(dialect: Dialect, choices: Sequence[str]) -> dict[str, Any]:
    """The fields of a request that allow these answers only.

    vLLM took `guided_choice` until 0.11 and takes `structured_outputs` since (vllm#29326); it
    passes over what it does not know, so both are sent. llama.cpp takes a grammar (GBNF).
    """
    if dialect == "vllm":
        given = list(choices)
        return {"structured_outputs": {"choice": given}, "guided_choice": given}
    return {"grammar": f"root ::= {' | '.join(map(_quoted, choices))}"}


def _quoted(text: str) -> str:
    """A literal of GBNF: what JSON escapes, it escapes in the same way."""
    return json.dumps(text, ensure_ascii=False)
