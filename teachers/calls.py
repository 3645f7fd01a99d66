"""Single calls of a ledger, read beside the process that may be writing it."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from teachers.writer import reading


@dataclass(frozen=True, slots=True)
class Call:
    """One answer that was paid for, or came from the store."""

    id: str
    teacher: str
    stored: bool
    usd: float | None
    """None where no price is known; 0 for a stored one."""
    input_tokens: int
    output_tokens: int


def read_calls(path: Path, known: Collection[str] = ()) -> list[Call]:
    """The answered calls of a ledger but those whose ids are known; none where there is none."""
    if not path.is_file():
        return []
    with reading(path) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'spend'").fetchone():
            return []
        found = database.execute(
            "SELECT call_id, teacher, state = 'stored', usd, input_tokens, output_tokens "
            "FROM spend WHERE state IN ('settled', 'unknown', 'stored')"
        )
        return [
            Call(id, teacher, bool(stored), 0.0 if stored else usd, tokens_in, tokens_out)
            for id, teacher, stored, usd, tokens_in, tokens_out in found
            if id not in known
        ]
