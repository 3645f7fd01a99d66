"""Every command of the tutorials runs as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from distill.cli.main import build_app, call
from distill.cli.output import take_flags

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("tutorial-*.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXITS = re.compile(r"#\s*exits (\d+)\s*$")


def commands(page):
    """(line, exit code that the page says) in the order of the page."""
    for block in BLOCK.findall(page.read_text("utf-8")):
        for line in filter(str.strip, block.splitlines()):
            exits = EXITS.search(line)
            yield line, int(exits[1]) if exits else 0


def run(line):
    """`distill` in this process, which has torch loaded already; the rest through the shell."""
    words = shlex.split(line, comments=True)
    if words[0] == "distill":
        output, args = take_flags(words[1:])
        return call(build_app(), args, output)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(line, shell=True, env={**os.environ, "PATH": path}, timeout=60).returncode


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_tutorial_run(page, workdir):
    """From an empty folder, in order, each ending as the page says."""
    lines = list(commands(page))
    assert len(lines) >= 5
    for line, exits in lines:
        assert run(line) == exits, line


def test_there_is_a_page_for_each_kind_of_user():
    """Those who run recipes, those who want a dataset, those who review."""
    assert [page.stem for page in PAGES] == [
        "tutorial-dataset", "tutorial-recipe", "tutorial-review",
    ]  # fmt: skip
