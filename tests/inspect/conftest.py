"""Rows of one kind, and the whole command in this process."""

import json
from pathlib import Path

import pytest

from distill.inspect.sources import Item


@pytest.fixture(scope="session")
def items_of():
    """A function that makes items of records, in one split or as (split, record) pairs."""

    def make(*records):
        made = []
        for at, record in enumerate(records):
            split, fields = record if isinstance(record, tuple) else ("train", record)
            made.append(Item(f"r{at}", split, fields))
        return made

    return make


@pytest.fixture
def say(capsys):
    """A function that runs `distill inspect ... --json`; returns its exit code and object."""
    from distill.cli.main import main

    def run(*args):
        with pytest.raises(SystemExit) as stop:
            main(["inspect", *map(str, args), "--json", "--quiet"])
        return stop.value.code or 0, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def jsonl(tmp_path):
    """A function that writes records to a file and returns its path."""

    def write(name, records):
        path = Path(tmp_path / name)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write
