"""Asks per second against a server of fixed latency: the gateway beside its ceiling and its peers.

The ideal is in flight / latency; every way runs in a process of its own, one after another.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers import peer_python
from record import Bar, write_result

HERE = Path(__file__).parent
LATENCY_S, ROWS, IN_FLIGHT = 0.2, 2_000, 200
STORED_ROWS = 20_000
MEMORY_ROWS = {False: 10_000, True: 50_000}
PEERS = {
    "curator": ["bespokelabs-curator==0.1.31"],
    "distilabel": ["distilabel[openai]==1.5.3", "requests"],
}
OURS = ("bare", "openai_aiohttp", "openai_default", "gateway")
LONGEST_S = 300
SLOWEST_PER_S = 100
"""Below this rate, something other than the gateway is being measured."""


@contextmanager
def served(latency_s: float) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, str(HERE / "latency_server.py"), str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(timeout=10)


def drive(python: str, name: str, url: str, rows: int, in_flight: int) -> dict[str, Any]:
    """What one driver found; `why` where it could not be run."""
    command = [python, str(HERE / "gateway_drivers.py"), name, url, str(rows), str(in_flight)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    if python != sys.executable:
        environment.pop("PYTHONPATH")
    longest = max(LONGEST_S, rows // SLOWEST_PER_S)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=longest
        )
    except subprocess.TimeoutExpired:
        return {"why": f"not done in {longest} s"}
    if done.returncode:
        return {"why": done.stderr.strip().splitlines()[-1][:300] if done.stderr else "failed"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    found["per_s"] = rows / found["seconds"]
    return found


def main() -> None:
    """Runs every way and writes the table."""
    long = "--long" in sys.argv
    figures: dict[str, dict[str, Any]] = {}
    with served(LATENCY_S) as url:
        for name in OURS:
            figures[name] = drive(sys.executable, name, url, ROWS, IN_FLIGHT)
            _show(name, figures[name])
        for name, wanted in PEERS.items():
            python = peer_python(name, *wanted)
            figures[name] = (
                drive(str(python), name, url, ROWS, IN_FLIGHT)
                if python
                else {"why": "its environment could not be made"}
            )
            _show(name, figures[name])
    with served(0.0) as url:
        more = MEMORY_ROWS[long]
        for name, rows in (("stored", STORED_ROWS), ("few", ROWS), ("memory", more)):
            figures[name] = drive(sys.executable, "gateway", url, rows, IN_FLIGHT)
    stored = grown = None
    if "stored" in figures["stored"]:
        stored = STORED_ROWS / figures["stored"]["stored"]["seconds"]
    _show("stored", {"per_s": stored} if stored else figures["stored"])
    peaks = [figures[name].get("peak_mb") for name in ("few", "memory")]
    if None not in peaks:
        grown = peaks[1] - peaks[0]
        print(f"{'memory':16} {peaks[0]} MB for {ROWS:,} rows, {peaks[1]} MB for {more:,}")
    else:
        _show("memory", figures["memory"])
    bars = [
        Bar("asks/s through the whole gateway", figures["gateway"].get("per_s"), at_least=600),
        Bar("rows/s of a fully stored second run", stored, at_least=5_000),
        Bar(f"MB more for {more:,} rows than for {ROWS:,}", grown, at_most=32),
    ]
    write_result(
        "gateway",
        "asks per second, a server of fixed latency in its own process, every way in its own",
        settings={"latency_s": LATENCY_S, "rows": ROWS, "in_flight": IN_FLIGHT},
        figures=figures,
        bars=bars,
    )


def _show(name: str, found: dict[str, Any]) -> None:
    print(f"{name:16} {found['per_s']:8.0f}/s" if "per_s" in found else f"{name:16} {found['why']}")


if __name__ == "__main__":
    main()
