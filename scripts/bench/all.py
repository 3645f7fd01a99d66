"""Every benchmark, one after another, then the bars of all in one table. `make bench` calls this.

Usage: all.py [--long] [NAME ...]; NAME is that of a file, without `bench_` and `.py`.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from record import RESULTS, Bar

HERE = Path(__file__).parent
LONGEST_SECONDS = 1200


def main() -> None:
    """Runs the benchmarks that were named, or all; exits with 1 where one could not be run."""
    long = "--long" in sys.argv
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    scripts = sorted(HERE.glob("bench_*.py"))
    chosen = [s for s in scripts if not names or s.stem.removeprefix("bench_") in names]
    started, failed = time.time(), []
    for script in chosen:
        print(f"\n== {script.stem.removeprefix('bench_')}", flush=True)
        command = [sys.executable, str(script), *(["--long"] if long else [])]
        try:
            subprocess.run(command, check=True, timeout=LONGEST_SECONDS * (4 if long else 1))
        except subprocess.SubprocessError as error:
            print(f"failed: {error}", flush=True)
            failed.append(script.name)
    _summary(started)
    sys.exit(1 if failed else 0)


def _summary(started: float) -> None:
    print("\n== bars")
    for path in sorted(RESULTS.glob("*.json")):
        if path.stat().st_mtime < started:
            continue
        for bar in json.loads(path.read_text(encoding="utf-8")).get("bars", []):
            bar.pop("met")
            print(f"{path.stem:20} {Bar(**bar)}")
    print(f"{time.time() - started:.0f} s in all")


if __name__ == "__main__":
    main()
