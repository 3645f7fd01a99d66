"""Environments for the tools that we are measured beside: each in its own, never in ours."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-peers"
PINS = Path(__file__).parent / "pins"
"""NAME.txt: every version that a peer needs, where pip alone would look for them for too long."""
INSTALL_SECONDS = 600


def peer_python(name: str, *requirements: str) -> Path | None:
    """The interpreter of the environment NAME, made on the first call; None if it cannot be made.

    torch is pinned as in constraints.txt, so that a machine without a GPU takes no CUDA packages.
    """
    folder = FOLDER / name
    python, ready = folder / "bin" / "python", folder / "ready"
    pinned = PINS / f"{name}.txt"
    held = [pinned] if pinned.is_file() else []
    wanted = "\n".join([*requirements, *(file.read_text(encoding="utf-8") for file in held)])
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making the environment of {name} ({', '.join(requirements)}) ...", flush=True)
    torch_pin = FOLDER / "constraints.txt"
    FOLDER.mkdir(exist_ok=True)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    torch_pin.write_text("\n".join(p for p in pins if p.startswith("torch==")), encoding="utf-8")
    install = [
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "-c", str(torch_pin), *(part for file in held for part in ("-c", str(file))), *requirements,
    ]  # fmt: skip
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder)], check=True, timeout=INSTALL_SECONDS
        )
        subprocess.run(install, check=True, timeout=INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{name} is not measured: {error}", flush=True)
        return None
    ready.write_text(wanted, encoding="utf-8")
    return python
