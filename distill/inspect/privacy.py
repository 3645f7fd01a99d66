"""Personal data by pattern: e-mail, phone, card and IP numbers."""

from collections.abc import Sequence
from typing import Any

from distill.inspect.view import View
from distill.inspect.workplace import Workplace
from distill.measure.pii import KINDS, find_pii, mask


def measure_pii(view: View, place: Workplace) -> dict[str, Any]:
    """{"email" | "phone" | "card" | "ip": {count, rows, example}}; examples are masked."""
    texts: Sequence[str] = view.contents
    found: dict[str, dict[str, Any]] = {
        kind: {"count": 0, "rows": [], "example": None} for kind in KINDS
    }
    for at, (text, hits) in enumerate(zip(texts, place.each(find_pii, texts), strict=True)):
        for hit in hits:
            entry = found[hit.kind]
            entry["count"] += 1
            if not entry["rows"] or entry["rows"][-1] != view.ids[at]:
                entry["rows"].append(view.ids[at])
            if entry["example"] is None:
                around = slice(max(0, hit.start - 40), hit.end + 40)
                inside = [h for h in hits if h.start >= around.start and h.end <= around.stop]
                moved = [h._replace(start=h.start - around.start, end=h.end - around.start)
                         for h in inside]  # fmt: skip
                entry["example"] = mask(text[around], moved)
    return found
