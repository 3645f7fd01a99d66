"""Strict YAML with positions, for every YAML file that users write.

Plain scalars follow YAML 1.2: only true and false are booleans, `no` and `on` are text, 1e-4 is a
number, 2024-01-01 is text. Duplicate keys, tags, several documents and numbers that are not finite
are refused. Keys are always text. PyYAML only parses; its constructors are never used.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from yaml.composer import Composer
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from distill.errors import Problem, RecipeError

MAX_REPEATED = 10_000
"""Most nodes that aliases may repeat; a few hundred bytes of nested aliases can mean billions."""
MAX_DEPTH = 100

_PLAIN = "plain"
_STR = "tag:yaml.org,2002:str"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class YamlFile:
    """The data of a YAML file with the line of every key path ("filter.0.length" -> 12)."""

    data: Any
    lines: dict[str, int]


class _Nodes(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's parser without its YAML 1.1 rules for what a plain word means."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """Marks plain scalars, so that they can be told from quoted ones and from tags."""
        if kind is ScalarNode and implicit[0]:
            return _PLAIN
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]


def read_yaml(path: Path) -> YamlFile:
    """The content of a YAML file.

    Raises: RecipeError with file and line, also when the file cannot be read.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file that a recipe names.

    Raises: RecipeError when it is missing, unreadable or not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        found = f"the file cannot be read: {exc.strerror}"
        problem = Problem(found=found, file=str(path), fix="Give a readable text file.")
        raise RecipeError(str(problem), [problem]) from exc
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        problem = Problem(
            found=f"byte 0x{raw[exc.start]:02x} is not UTF-8",
            file=str(path),
            line=line,
            fix="Save the file as UTF-8.",
        )
        raise RecipeError(str(problem), [problem]) from exc


def parse_yaml(text: str, file: str) -> YamlFile:
    """The content of YAML text; `file` is the name that errors give.

    Raises: RecipeError with every problem found.
    """
    try:
        node = _Nodes(text).get_single_node()
    except ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        _fail(file, line, "a character that YAML does not allow", "Delete it.")
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        _fail(file, mark.line + 1 if mark else None, _words(exc), _hint(exc))
    except (YAMLError, ValueError, OverflowError) as exc:  # "\UFFFFFFFF" overflows in the scanner
        _fail(file, None, f"not YAML: {exc}", None)
    except RecursionError:
        _fail(file, None, "nested too deeply", f"Use at most {MAX_DEPTH} levels.")
    builder = _Builder(file)
    data = builder.build(node, (), frozenset()) if node is not None else None
    if builder.problems:
        raise RecipeError(str(builder.problems[0]), builder.problems)
    return YamlFile(data, builder.lines)


def _fail(file: str, line: int | None, found: str, fix: str | None) -> NoReturn:
    problem = Problem(found=found, file=file, line=line, fix=fix)
    raise RecipeError(str(problem), [problem]) from None


def _words(exc: MarkedYAMLError) -> str:
    parts = [part for part in (exc.context, exc.problem) if part]
    return f"not YAML: {', '.join(parts)}"


def _hint(exc: MarkedYAMLError) -> str | None:
    problem = exc.problem or ""
    if r"'\t'" in problem:
        return "Indent with spaces, not tabs."
    if "mapping values are not allowed" in problem:
        return "Put text that holds `: ` in quotes."
    if "expected a single document" in (exc.context or ""):
        return "Keep one document per file."
    return None


@dataclass(slots=True)
class _Builder:
    """Turns nodes into plain data, noting lines and problems."""

    file: str
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    repeated: int = 0

    def build(self, node: Node, path: tuple[str, ...], above: frozenset[int]) -> Any:
        self.lines.setdefault(".".join(path), node.start_mark.line + 1)
        if not self._allowed(node, path, above):
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        within = above | {id(node)}
        if isinstance(node, SequenceNode):
            return [
                self.build(item, (*path, str(index)), within)
                for index, item in enumerate(node.value)
            ]
        assert isinstance(node, MappingNode)
        return {
            key: self.build(value, (*path, key), within) for key, value in self._pairs(node, path)
        }

    def _allowed(self, node: Node, path: tuple[str, ...], above: frozenset[int]) -> bool:
        if id(node) in above:
            return self._refuse(node, path, "an alias that contains itself")
        if len(above) >= MAX_DEPTH:
            return self._refuse(node, path, f"nested more than {MAX_DEPTH} levels deep")
        if id(node) in self.seen:
            self.repeated += 1
            if self.repeated > MAX_REPEATED:
                if self.repeated == MAX_REPEATED + 1:
                    self._refuse(node, path, f"aliases repeat more than {MAX_REPEATED} values")
                return False
        self.seen.add(id(node))
        return True

    def _pairs(self, node: MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str, Node]]:
        first: dict[str, int] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._refuse(key_node, path, "a key that is not text", "Quote {{ ... }} in values.")
                continue
            key = str(key_node.value)
            if not _encodes(key):
                self._refuse(key_node, path, "half a character (a lone surrogate) in a key")
            elif key in first:
                found = f"duplicate key {key!r}, first given on line {first[key]}"
                self._refuse(key_node, (*path, key), found, "Keep one of them.")
            else:
                first[key] = line
                self.lines.setdefault(".".join((*path, key)), line)
                yield key, value

    def _scalar(self, node: ScalarNode, path: tuple[str, ...]) -> Any:
        text = str(node.value)
        if not _encodes(text):
            return self._refuse(node, path, "half a character (a lone surrogate) in a text") or None
        if node.tag == _STR:
            return text
        if node.tag != _PLAIN:
            found = f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')!r}"
            return self._refuse(node, path, found, "Leave tags out.") or None
        return self._plain(node, text, path)

    def _plain(self, node: Node, text: str, path: tuple[str, ...]) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            try:
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            except ValueError:  # Python refuses to convert thousands of digits
                return self._refuse(node, path, "a number of too many digits") or None
        if _NOT_FINITE.fullmatch(text):
            return self._refuse(node, path, f"{text} is not a finite number") or None
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isfinite(number):
                return number
            return self._refuse(node, path, f"{text} is too large for a number") or None
        return text

    def _refuse(
        self, node: Node, path: tuple[str, ...], found: str, fix: str | None = None
    ) -> bool:
        self.problems.append(
            Problem(
                found=found,
                file=self.file,
                line=node.start_mark.line + 1,
                key=".".join(path) or None,
                fix=fix,
            )
        )
        return False


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
