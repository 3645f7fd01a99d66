"""Runs the quickstart with ten seeds, teacher and students anew each time, and logs the table.

Usage: python scripts/quickstart_seeds.py [--seeds 10] [--runs FOLDER]
Appends the table to recipes/LOG.md. Settings were chosen on the dev split; gold is only reported.
"""

import argparse
import datetime
import os
import platform
import statistics
import tempfile
from pathlib import Path

from distill import load_recipe, run

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("teacher", "student", "hard_labels", "hard_labels_confident", "student_before")


def accuracies(seed: int, folder: Path) -> dict[str, float]:
    """Gold accuracy of every system of one run."""
    recipe = load_recipe("quickstart", [f"seed={seed}", "evaluate.seeds=1"])
    report = run(recipe, run_dir=folder / f"seed-{seed}")
    return {system: report["metrics"][system]["accuracy"]["value"] for system in SYSTEMS}


def table(rows: dict[int, dict[str, float]]) -> list[str]:
    """The rows as Markdown, with the mean and the paired difference."""
    head = ["seed", *SYSTEMS, "student - hard_labels"]
    lines = ["| " + " | ".join(head) + " |", "|--:" * len(head) + "|"]
    for seed, row in rows.items():
        cells = [f"{row[system]:.3f}" for system in SYSTEMS]
        lines.append(
            f"| {seed} | {' | '.join(cells)} | {row['student'] - row['hard_labels']:+.3f} |"
        )
    columns = {system: [row[system] for row in rows.values()] for system in SYSTEMS}
    gaps = [row["student"] - row["hard_labels"] for row in rows.values()]
    summary = [
        f"{statistics.mean(values):.3f} ± {spread(values):.3f}" for values in columns.values()
    ]
    lines.append(
        f"| mean ± sd | {' | '.join(summary)} | {statistics.mean(gaps):+.3f} ± {spread(gaps):.3f} |"
    )
    return lines


def spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=None)
    args = parser.parse_args()
    folder = args.runs or Path(tempfile.mkdtemp(prefix="quickstart-seeds-"))
    rows = {}
    for seed in range(1, args.seeds + 1):
        rows[seed] = accuracies(seed, folder)
        print(seed, rows[seed], flush=True)
    entry = [
        "",
        f"## {datetime.date.today()}: the quickstart over {args.seeds} seeds",
        "",
        f"`python scripts/quickstart_seeds.py --seeds {args.seeds}` on {os.cpu_count()} cores "
        f"({platform.machine()}, Python {platform.python_version()}). Teacher and students are "
        "trained anew for every seed; accuracy on the 660 gold tickets.",
        "",
        *table(rows),
        "",
    ]
    log = ROOT / "recipes" / "LOG.md"
    head, _, rest = log.read_text("utf-8").partition("\n## ")
    log.write_text(
        head.rstrip() + "\n" + "\n".join(entry) + ("\n## " + rest if rest else ""), "utf-8"
    )


if __name__ == "__main__":
    main()
