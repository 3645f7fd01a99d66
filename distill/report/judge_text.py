"""A judge's passport as lines for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADLINES = (
    "accuracy", "accuracy_failures_wrong", "parsed", "order_ab", "order_ba", "both_right",
    "consistency", "macro_f1", "kappa",
)  # fmt: skip


def passport_text(found: Mapping[str, Any]) -> str:
    """The figures with their intervals; what is missing says why, once."""
    lines = [f"{found['kind']}: {found['n']} rows with a gold verdict"]
    if found["without_gold"]:
        lines[0] += f", {found['without_gold']} left out without one"
    lines += _figures({name: found[name] for name in HEADLINES})
    position = found["position"]
    if position["flips"]:
        lines.append(
            f"  of {position['flips']} flips {position['first']} lean to the first answer, "
            f"{position['second']} to the second (p = {position['p']:.3g})"
        )
    if found["absolute"]:
        lines += _figures(found["absolute"])
    if found["verbosity"] and found["verbosity"]["difference"] is not None:
        verbosity = found["verbosity"]
        lines.append(
            f"  takes the longer answer {verbosity['judge']:.3f}, people {verbosity['people']:.3f}"
        )
    lines.append("reference lines (a judge below them has learnt nothing):")
    lines += _figures(found["reference_lines"])
    return "\n".join(lines)


def _figures(figures: Mapping[str, Any]) -> Sequence[str]:
    lines: list[str] = []
    missing: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if not isinstance(figure, Mapping) or "value" not in figure:
            continue
        if figure["value"] is None:
            missing.setdefault(figure["why"], []).append(name)
        elif figure["low"] is None:
            lines.append(f"  {name:<24} {figure['value']:.3f}")
        else:
            low, high = figure["low"], figure["high"]
            lines.append(f"  {name:<24} {figure['value']:.3f} [{low:.3f}, {high:.3f}]")
    return [*lines, *(f"  no {', '.join(names)}: {why}" for why, names in missing.items())]
