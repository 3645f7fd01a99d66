"""The formats that a pack can be written in."""

from collections.abc import Callable, Mapping
from pathlib import Path

from distill.review.formats import argilla, csv_file, html_pack, jsonl, label_studio, xlsx
from distill.review.pack import Pack

Writer = Callable[[Pack, Path], list[str]]

WRITERS: Mapping[str, Writer] = {
    "jsonl": jsonl.write,
    "csv": csv_file.write,
    "xlsx": xlsx.write,
    "label-studio": label_studio.write,
    "argilla": argilla.write,
    "html": html_pack.write,
}
