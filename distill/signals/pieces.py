"""The bytes that each id of a tokenizer stands for, so that texts of two models can be compared.

Byte-level vocabularies (GPT-2, Llama 3, Qwen) and SentencePiece ones (Llama 2, Mistral, Gemma) can
be read; one whose pieces do not join back to the text (WordPiece) cannot. No torch here.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"


def piece_bytes(tokenizer: Any) -> list[bytes | None] | None:
    """By id, the bytes of each piece, None for special ids and gaps.

    None for the whole tokenizer where its pieces do not join back to the text.
    """
    style = _style(tokenizer)
    if style is None:
        return None
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    found: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    added = tokenizer.added_tokens_decoder
    letters = _byte_letters()
    for piece, at in vocabulary.items():
        if at in added:
            found[at] = None if added[at].special else piece.encode()
        elif style == "byte_level":
            found[at] = _from_letters(piece, letters)
        else:
            byte = _BYTE_TOKEN.fullmatch(piece)
            text = piece.replace(_SPACE, " ").encode()
            found[at] = bytes([int(byte.group(1), 16)]) if byte else text
    return found


def ids_by_bytes(pieces: Sequence[bytes | None], tokenizer: Any) -> dict[bytes, int]:
    """The id of each byte string; where a byte token and a piece say the same, the piece."""
    out: dict[bytes, int] = {}
    for at, text in enumerate(pieces):
        if not text:
            continue
        if text in out and _BYTE_TOKEN.fullmatch(tokenizer.convert_ids_to_tokens(at)):
            continue
        if text in out and not _BYTE_TOKEN.fullmatch(tokenizer.convert_ids_to_tokens(out[text])):
            continue
        out[text] = at
    return out


def _style(tokenizer: Any) -> str | None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    parts = [decoder, *decoder.get("decoders", ())]
    kinds = {part.get("type") for part in parts}
    if "ByteLevel" in kinds:
        return "byte_level"
    spaces = any(
        part.get("type") == "Metaspace"
        or (part.get("type") == "Replace" and part.get("pattern") == {"String": _SPACE})
        for part in parts
    )
    return "sentencepiece" if spaces else None


def _from_letters(piece: str, letters: dict[str, int]) -> bytes | None:
    try:
        return bytes(letters[letter] for letter in piece)
    except KeyError:
        return None


def _byte_letters() -> dict[str, int]:
    # Bytes that are no printable letter are written as the next ones from 256 on, in their order.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + at): byte for at, byte in enumerate(others)}
