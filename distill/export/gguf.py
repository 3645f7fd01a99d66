"""GGUF through llama.cpp's own converter, where the user has it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from distill.errors import PrerequisiteError, Problem, RunError

SCRIPT = "convert_hf_to_gguf.py"
VARIABLE = "LLAMA_CPP"
"""Environment variable: a checkout of llama.cpp, or the converter itself."""
HOURS_S = 4 * 3600.0


def find_converter() -> Path:
    """The converter: what LLAMA_CPP names, else the first on PATH.

    Raises: PrerequisiteError with the line to type.
    """
    given = os.environ.get(VARIABLE)
    if given:
        path = Path(given).expanduser()
        found = path / SCRIPT if path.is_dir() else path
        if found.is_file():
            return found
    elif on_path := shutil.which(SCRIPT) or shutil.which(SCRIPT.removesuffix(".py")):
        return Path(on_path)
    problem = Problem(
        key="export.formats",
        found=f"gguf is written by llama.cpp's {SCRIPT}, "
        + (f"which {VARIABLE}={given} does not hold" if given else "which is not on PATH"),
        fix="Type: git clone https://github.com/ggml-org/llama.cpp && "
        "pip install -r llama.cpp/requirements/requirements-convert_hf_to_gguf.txt && "
        f"export {VARIABLE}=$PWD/llama.cpp",
    )
    raise PrerequisiteError(str(problem), [problem])


def write_gguf(folder: Path, name: str) -> Path:
    """Converts the model in a folder to `name`.gguf beside its weights, in 16 bits.

    Raises: PrerequisiteError without the converter, RunError with its last words when it fails.
    """
    converter, out = find_converter(), folder / f"{name}.gguf"
    # The script belongs to a checkout and has no interpreter line that knows our packages.
    start = [sys.executable, str(converter)] if converter.suffix == ".py" else [str(converter)]
    command = [*start, str(folder), "--outfile", str(out), "--outtype", "auto"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HOURS_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(converter, str(error)) from error
    if done.returncode != 0 or not out.is_file():
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise _failed(converter, last[0] if last else f"exit code {done.returncode}")
    return out


def _failed(converter: Path, why: str) -> RunError:
    problem = Problem(
        file=str(converter),
        key="export.formats",
        found=f"the conversion to gguf failed: {why}",
        fix="llama.cpp knows architectures and BPE tokenizers by name, not every one and none that "
        "was trained for a recipe; leave gguf out of export.formats.",
    )
    return RunError(str(problem), [problem])
