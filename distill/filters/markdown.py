"""What is wrong with a Markdown text: any text is Markdown, so only broken structure counts."""

import re
from collections.abc import Iterator, Sequence

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_LOOSE_HEADING = re.compile(r"^ {0,3}#{1,6}[^\s#\d!]")
_DIVIDER = re.compile(r"^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*$")
_CELLS = re.compile(r"(?<!\\)\|")


def markdown_fault(text: str, sections: Sequence[str] = ()) -> str | None:
    """Returns the first fault of a Markdown text, or None.

    open_fence (a code block never closed), loose_heading ("#Title"), ragged_table (a row with more
    or fewer cells than its head), no_section (a heading of `sections` is missing).
    """
    lines = text.splitlines()
    if _open_fence(lines):
        return "open_fence"
    plain = list(_outside_code(lines))
    if any(_LOOSE_HEADING.match(line) for line in plain):
        return "loose_heading"
    if _ragged(plain):
        return "ragged_table"
    headings = {_plain(match[2] or "") for line in plain if (match := _HEADING.match(line))}
    if any(_plain(section) not in headings for section in sections):
        return "no_section"
    return None


def _fences(lines: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each line with the fence that it stands in or is part of, None outside."""
    fence: str | None = None
    for line in lines:
        match = _FENCE.match(line)
        if fence is None and match and not (match[1][0] == "`" and "`" in match[2]):
            fence = match[1]
            yield line, fence
        elif (
            fence
            and match
            and match[1][0] == fence[0]
            and len(match[1]) >= len(fence)
            and not match[2].strip()
        ):
            yield line, fence
            fence = None
        else:
            yield line, fence
    if fence is not None:
        yield "", "open"


def _open_fence(lines: Sequence[str]) -> bool:
    return any(fence == "open" for _, fence in _fences(lines))


def _outside_code(lines: Sequence[str]) -> Iterator[str]:
    return (line for line, fence in _fences(lines) if fence is None)


def _ragged(lines: Sequence[str]) -> bool:
    for at, line in enumerate(lines):
        if at == 0 or not _DIVIDER.match(line) or "|" not in lines[at - 1]:
            continue
        width = _width(line)
        if _width(lines[at - 1]) != width:
            return True
        for row in lines[at + 1 :]:
            if "|" not in row:
                break
            if _width(row) != width:
                return True
    return False


def _width(line: str) -> int:
    return len(_CELLS.split(re.sub(r"`[^`]*`", "", line).strip().strip("|")))


def _plain(heading: str) -> str:
    return " ".join(re.sub(r"[*_`:]", "", heading).casefold().split())
