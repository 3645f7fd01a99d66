"""GGUF goes through llama.cpp's own converter, or says how to get it."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.errors import PrerequisiteError, RunError, UsageError
from distill.export.gguf import find_converter
from distill.export.stage import export
from distill.recipe.schema import Export

PROMPT: dict[str, Any] = {
    "task": {"kind": "generate", "input": "input", "output": "output", "system": None},
    "template": "{{ input }}",
}
GGUF = Export(formats=["safetensors", "gguf"])
STAND_IN = """
import sys
folder, flag, out, kind, of = sys.argv[1:]
assert (flag, kind, of) == ("--outfile", "--outtype", "auto")
open(folder + "/config.json")
{more}
open(out, "wb").write(b"GGUF")
"""


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a script with the converter's command line where a checkout of llama.cpp has it."""

    def put(more: str = "") -> Path:
        folder = tmp_path / "llama.cpp"
        folder.mkdir()
        script = folder / "convert_hf_to_gguf.py"
        script.write_text(STAND_IN.format(more=more))
        monkeypatch.setenv("LLAMA_CPP", str(folder))
        return script

    return put


def test_without_a_converter_the_line_to_type_is_told(
    tiny_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither LLAMA_CPP nor PATH: exit 3, before anything is written; a wrong LLAMA_CPP too."""
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match=r"git clone .*llama\.cpp"):
        export(tiny_folder(), tmp_path / "out", GGUF, PROMPT, {})
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path / "nowhere"))
    with pytest.raises(PrerequisiteError, match="nowhere does not hold"):
        find_converter()


def test_the_converter_is_called_as_llama_cpp_wants_it(
    tiny_folder: Callable[..., Path], converter: Callable[..., Path], tmp_path: Path
) -> None:
    """The .gguf lies beside the safetensors in the folder to ship."""
    converter()
    done = export(tiny_folder(), tmp_path / "out", GGUF, PROMPT, {})
    assert {"out.gguf", "model.safetensors"} <= set(done.files)


def test_a_converter_on_the_path_is_found(
    converter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed script needs no variable."""
    script = converter()
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("LLAMA_CPP")
    monkeypatch.setenv("PATH", str(script.parent))
    assert find_converter() == script


def test_a_conversion_that_fails_gives_its_last_words(
    tiny_folder: Callable[..., Path],
    adapter_folder: Callable[..., Path],
    converter: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The converter's last line is the message, and nothing half-written stays."""
    converter('sys.exit("Model Foo is not supported")')
    base = tiny_folder("base")
    with pytest.raises(RunError, match="Model Foo is not supported"):
        export(base, tmp_path / "out", GGUF, PROMPT, {})
    assert not (tmp_path / "out").exists()
    loose = Export(formats=["gguf"], merge=False)
    with pytest.raises(UsageError, match="whole model"):
        export(adapter_folder(base, ["q_proj"]), tmp_path / "out", loose, PROMPT, {})
