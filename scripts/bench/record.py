"""What every benchmark shares: its machine, its bars, and the JSON that it leaves in `results/`.

A bar that is missed stays in the table with its figure; nothing here fails because of a figure.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise and what was found. `found` is None where it was not run, and `why` says so."""

    what: str
    found: float | None
    at_least: float | None = None
    at_most: float | None = None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps the promise; None where there is no figure."""
        if self.found is None:
            return None
        over = self.at_least is None or self.found >= self.at_least
        return over and (self.at_most is None or self.found <= self.at_most)

    def __str__(self) -> str:
        """One line of the table."""
        word = {True: "met", False: "MISSED", None: "not run"}[self.met]
        found = self.why if self.found is None else f"{self.found:,.4g}"
        bound = f">= {self.at_least:,g}" if self.at_least is not None else ""
        bound += f"<= {self.at_most:,g}" if self.at_most is not None else ""
        return f"{word:8} {self.what}: {found} ({bound})"


def machine() -> dict[str, Any]:
    """The machine and how busy it was: a figure without them says little."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_mb": memory,
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def write_result(
    name: str,
    what: str,
    *,
    settings: Mapping[str, Any],
    figures: Any,
    bars: Sequence[Bar] = (),
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Prints the bars and writes `results/NAME.json`."""
    for bar in bars:
        print(bar)
    RESULTS.mkdir(exist_ok=True)
    content = {
        "what": what,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": dict(versions or {}),
        "settings": dict(settings),
        "figures": figures,
        "bars": [asdict(bar) | {"met": bar.met} for bar in bars],
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written: scripts/bench/results/{path.name}")
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
