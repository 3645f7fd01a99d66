"""A judge's passport as lines for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADLINES = (
    "accuracy", "accuracy_failures_wrong", "parsed", "order_ab", "order_ba", "both_right",
    "consistency", "macro_f1", "kappa",
)  # fmt: skip
FAMILIES = 3
"""Families of models that are shown, largest gap to people first."""


def passport_text(found: Mapping[str, Any]) -> str:
    """The figures with their intervals; what is missing says why, once."""
    lines = [f"{found['kind']}: {found['n']} rows with a gold verdict"]
    if found["without_gold"]:
        lines[0] += f", {found['without_gold']} left out without one"
    if found.get("errors") is not None:
        lines[0] += f"; {cut_off(found)}"
    lines += [f"note: {note}" for note in found.get("notes") or ()]
    lines += _figures({name: found[name] for name in HEADLINES})
    position = found["position"]
    if position["flips"]:
        test = "" if position["p"] is None else f" (p = {position['p']:.3g})"
        lines.append(
            f"  of {position['flips']} flips {position['first']} lean to the first answer, "
            f"{position['second']} to the second{test}"
        )
    if found["absolute"]:
        lines += _figures(found["absolute"])
        if alarm := (found["absolute"].get("spread") or {}).get("alarm"):
            lines.append(f"  {alarm}")
    if found["verbosity"] and found["verbosity"]["difference"] is not None:
        verbosity = found["verbosity"]
        lines.append(
            f"  takes the longer answer {verbosity['judge']:.3f}, people {verbosity['people']:.3f}"
        )
    markup = found.get("markup") or {}
    if markup and markup["judge"]["value"] is not None and markup["people"]["value"] is not None:
        lines.append(
            f"  takes the answer with lists or Markdown {markup['judge']['value']:.3f}, people "
            f"{markup['people']['value']:.3f} (n = {markup['judge']['n']})"
        )
    for line in (found.get("families") or [])[:FAMILIES]:
        lines.append(
            f"  takes the answer of {line['family']} models {line['judge']['value']:.3f}, people "
            f"{line['people']['value']:.3f} (n = {line['n']})"
        )
    lines += _extras(found)
    lines.append("reference lines (a judge below them has learnt nothing):")
    lines += _figures(found["reference_lines"])
    return "\n".join(lines)


def cut_off(found: Mapping[str, Any]) -> str:
    """How many answers stopped at the token limit, as far as anybody knows."""
    count, unknown = found.get("truncated"), found.get("truncated_unknown")
    if count is None:
        return "whether answers were cut off at the token limit is not known"
    text = f"{count:,} cut off at the token limit"
    return f"{text}, of {unknown:,} not known" if unknown else text


def _extras(found: Mapping[str, Any]) -> list[str]:
    """Pass rate, cascade, tests against other judges and probes, where they were measured."""
    lines = []
    rate = found.get("pass_rate") or {}
    if rate.get("labelled"):
        head = f"pass rate from {rate['pass_at']:g} ({rate['labelled']} labelled rows"
        lines.append(f"{head}, {rate['unlabelled']} without a label):")
        names = ("observed", "sensitivity", "specificity", "corrected")
        lines += _figures({name: rate[name] for name in names})
    best = (found.get("cascade") or {}).get("best")
    if best is not None:
        cost = best["cost_per_1000"]
        price = "" if cost is None else f", {cost:.4f} USD per 1,000"
        lines.append(
            f"cascade: as good as the teacher alone with {best['handed']:.1%} handed to it "
            f"(confidence under {best['threshold']:.3f}{price})"
        )
    systems = found.get("systems") or {}
    if systems.get("table") and not systems["why"]:
        lines.append(f"ranks of {systems['n']} systems, by the judge and by people:")
        lines += _figures({name: systems[name] for name in ("spearman", "kendall")})
    for name, test in (found.get("compared") or {}).items():
        p = "no row differs" if test["p"] is None else f"p = {test['p']:.3g} ({test['test']})"
        lines.append(f"  against {name}: accuracy {test['difference']['value']:+.3f}, {p}")
    for name, moves in (found.get("probes") or {}).items():
        gained, lost = moves["gained"], moves["lost"]
        lines.append(
            f"  probe {name}: gained {gained['value']:.1%}, lost {lost['value']:.1%} "
            f"of {gained['n']} rows"
        )
    return lines


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
