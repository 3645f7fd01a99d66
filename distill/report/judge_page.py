"""A judge's passport as a page, and as a part of a run's report: plain rows for the templates."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.report.figures import title
from distill.report.judge_plots import reliability_plot, selective_plot
from distill.report.judge_text import HEADLINES, cut_off
from distill.report.measured import write_plain
from distill.report.page import render_page, words

SLICES = 20
"""Slices that are shown, the worst first."""
LEAST = 5
"""Rows under which a slice is not shown: its interval says nothing."""
COST_DIGITS = 4


def render_judge(passport: Mapping[str, Any], name: str) -> str:
    """The whole page as one string: no network, all text of rows escaped.

    Args:
        passport: What `distill judge eval --json` prints.
        name: Of the data.
    """
    return render_page(
        "judge_page.html.jinja",
        judge_plots(passport),
        ["style.css"],
        name=name,
        judging=judge_part(passport),
    )


def judge_plots(passport: Mapping[str, Any] | None) -> dict[str, str]:
    """Plot name -> figure, for what was measured."""
    found = (passport or {}).get("calibration")
    drawn = {"reliability": reliability_plot(found), "selective": selective_plot(found)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def judge_part(passport: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the template shows; None without a passport."""
    if not passport:
        return None
    return {
        "coverage": _coverage(passport),
        "notes": list(passport.get("notes") or ()),
        "figures": _against_people(passport),
        "leanings": _leanings(passport),
        "lines": _lines(passport["reference_lines"]),
        "calibration": _calibration(passport.get("calibration")),
        "pass_rate": _pass_rate(passport.get("pass_rate")),
        "others": _others(passport),
        "systems": _systems(passport.get("systems")),
        "slices": _slices(passport.get("slices") or ()),
        "worst": [_card(row) for row in passport.get("worst") or ()],
        "cost": _cost(passport.get("cost")),
    }


def _coverage(passport: Mapping[str, Any]) -> str:
    parsed = passport["parsed"]
    text = f"{passport['n']:,} rows with a verdict of people"
    if passport["without_gold"]:
        text += f", {passport['without_gold']:,} left out without one"
    if passport.get("errors") is not None and parsed["value"] is not None:
        text += f"; {parsed['value']:.1%} of them could be read, {passport['errors']:,} could not"
    if passport.get("errors") is not None:
        text += f"; {cut_off(passport)}"
    if parsed["value"] is None and parsed.get("why"):
        text += f"; {parsed['why']}"
    return f"{text}."


def _lines(found: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": title(name), "value": write_plain(figure), "why": str(figure.get("why") or "")}
        for name, figure in found.items()
        if isinstance(figure, Mapping) and "value" in figure
    ]


def _against_people(passport: Mapping[str, Any]) -> list[dict[str, str]]:
    """Nothing where no judge was measured: a table of gaps says no more than `coverage` does."""
    if passport["accuracy"]["value"] is None and passport["parsed"]["value"] is None:
        return []
    figures = {name: passport[name] for name in HEADLINES} | dict(passport.get("absolute") or {})
    return _lines(figures | {"tie_recall": passport["tie_recall"]})


def _leanings(passport: Mapping[str, Any]) -> list[str]:
    """To a place, to length, to Markdown and to a family of models, beside that of people."""
    found, position = [], passport["position"]
    if alarm := ((passport.get("absolute") or {}).get("spread") or {}).get("alarm"):
        found.append(alarm)
    if position["flips"]:
        p = "" if position["p"] is None else f" (exact binomial test: p = {position['p']:.3g})"
        found.append(
            f"Of {position['flips']:,} verdicts that change with the order, "
            f"{position['first']:,} go to the answer shown first and {position['second']:,} to "
            f"the second{p}."
        )
    length = passport.get("verbosity") or {}
    if length.get("difference") is not None:
        found.append(
            f"It takes the longer answer in {length['judge']:.1%} of the decided rows, people in "
            f"{length['people']:.1%}."
        )
    markup = passport.get("markup") or {}
    if markup and None not in (markup["judge"]["value"], markup["people"]["value"]):
        found.append(
            f"Where one answer alone has lists or Markdown it takes that one in "
            f"{markup['judge']['value']:.1%}, people in {markup['people']['value']:.1%} "
            f"(n = {markup['judge']['n']:,})."
        )
    for line in passport.get("families") or ():
        found.append(
            f"It takes the answer of {line['family']} models in {line['judge']['value']:.1%}, "
            f"people in {line['people']['value']:.1%} (n = {line['n']:,})."
        )
    return found


def _calibration(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    kept = [
        f"Answering only from a confidence of {one['above']:.3f}: {one['accuracy']:.1%} right on "
        f"{one['share']:.0%} of these rows."
        for one in found["selective"]
    ]
    figures = _lines({"ECE": found["ece"], "Brier score": found["brier"]})
    return {"figures": figures, "n": found["n"], "kept": kept}


def _pass_rate(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not found or not found.get("labelled"):
        return None
    names = ("observed", "sensitivity", "specificity", "corrected")
    return {**found, "figures": _lines({name: found[name] for name in names})}


def _others(passport: Mapping[str, Any]) -> list[str]:
    """Tests against other judges, and what changed answers did to the verdicts."""
    lines = []
    for name, test in (passport.get("compared") or {}).items():
        p = "no row differs" if test["p"] is None else f"p = {test['p']:.3g}, {test['test']}"
        lines.append(f"Against {name}: accuracy {test['difference']['value']:+.3f} ({p}).")
    for name, moves in (passport.get("probes") or {}).items():
        gained, lost = moves["gained"], moves["lost"]
        if gained["value"] is not None and lost["value"] is not None:
            lines.append(
                f"Probe {title(name)}: the changed answer gained in {gained['value']:.1%} and lost "
                f"in {lost['value']:.1%} of {gained['n']:,} rows."
            )
    return lines


def _slices(found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "name": f"{title(one['slice'])}: {one['value']}",
            "value": write_plain(one["accuracy"]),
            "n": f"{one['n']:,}",
            "why": "",
        }
        for one in found
        if one["n"] >= LEAST
    ][:SLICES]


def _card(row: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: words(row[name]) for name in ("instruction", "a", "b", "response") if
              row.get(name) not in (None, "")}  # fmt: skip
    fields |= {"people": words(row["gold"]), "judge": words(row["found"])}
    orders = row.get("by_order") or {}
    if len(orders) > 1:
        fields["by order"] = ", ".join(f"{name}: {words(one)}" for name, one in orders.items())
    return {"id": row["id"], "reason": None, "fields": fields}


def _systems(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Rank correlations over systems, and each system's figure by the judge and by people."""
    if not found or not found["table"]:
        return None
    ranks = {"Spearman": found["spearman"], "Kendall tau-b": found["kendall"]}
    table = [
        {name: f"{line[name]:.3f}" for name in ("judge", "people")}
        | {"name": line["system"], "n": f"{line['n']:,}"}
        for line in found["table"]
    ]
    by = "win rate, a tie half a win" if found["by"] == "win_rate" else "mean score"
    return {"figures": _lines(ranks), "table": table, "by": by, "why": found["why"]}


def _cost(found: Mapping[str, Any] | None) -> str | None:
    if not found:
        return None
    price, speed = found.get("usd_per_1000"), found.get("rows_per_s")
    told = [] if price is None else [f"{price:.{COST_DIGITS}f} USD per 1,000 rows"]
    told += [] if speed is None else [f"{speed:,.1f} rows a second"]
    return ", ".join(told) or None
