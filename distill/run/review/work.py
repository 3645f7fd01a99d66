"""What the review commands do, as functions that take plain values and give plain data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill.errors import Problem, UsageError
from distill.review import agree as agreement_of_reviews
from distill.review import gold as gold_sets
from distill.review.adjudicate import adjudication_pack, queue
from distill.review.choose import Choose
from distill.review.export import make_packs
from distill.review.formats.recognise import read_file
from distill.review.formats.writers import WRITERS
from distill.review.log import Review, amend, read_log
from distill.review.merge import merge
from distill.review.merged_file import read_merged, write_merged
from distill.review.pack import Kind, Pack, read_packs, write_pack
from distill.review.plan import Known, Plan, make_plan
from distill.review.serve import Address, Service
from distill.review.serve import serve as run_server
from distill.review.verdicts import Policy
from distill.rows.atomic import atomic_file
from distill.rows.writers import write_records
from distill.run.directory import now
from distill.run.review.place import Place


def export(
    place: Place,
    to: Path,
    format: str,
    *,
    rows: int | None = None,
    choose: Choose | None = None,
    kind: Kind | None = None,
    overlap: int | None = None,
    reviewers: Sequence[str] = (),
    named: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """Writes a pack, or one for each of several reviewers, and remembers it.

    What is not given is what the recipe says of review; all `named` rows go unless `rows` is given.
    """
    said = place.defaults
    explicit = said.overlap if said.overlap > 1 else None
    packs = make_packs(
        place.source,
        rows=rows if rows is not None or place.run is None or named is not None else said.rows,
        choose=choose or said.choose,
        kind=kind or said.kind,
        overlap=overlap if overlap is not None else explicit,
        reviewers=list(reviewers),
        packs=read_packs(place.source.folder),
        now=now(),
        named=named,
    )
    written = [write(place, pack, path, format) for pack, path in zip(
        packs, _paths(to, packs), strict=True)]  # fmt: skip
    first = written[0]
    return first if len(written) == 1 else {**first, "packs": written}


def write(place: Place, pack: Pack, to: Path, format: str) -> dict[str, Any]:
    """Writes one pack in a format and remembers it."""
    if format not in WRITERS:
        problem = Problem(f"no format {format!r}", allowed=", ".join(WRITERS))
        raise UsageError(str(problem), [problem])
    write_pack(place.source.folder, pack)
    warnings = WRITERS[format](pack, to)
    return {
        "pack_id": pack.pack_id,
        "rows": len(pack.rows),
        "random": sum("random" in row.why for row in pack.rows),
        "kind": pack.kind,
        "format": format,
        "to": str(to),
        "reviewer": pack.reviewer,
        "warnings": warnings,
    }


def _paths(to: Path, packs: Sequence[Pack]) -> list[Path]:
    if len(packs) == 1:
        return [to]
    return [to.with_name(f"{to.stem}.{_plain(pack.reviewer or '')}{to.suffix}") for pack in packs]


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_@." else "_" for c in name)


def known(place: Place) -> Known:
    """Everything that a decision is held against."""
    source = place.source
    return Known(read_packs(source.folder), read_log(source.folder), source.rows, source.hashes())


def import_file(place: Place, path: Path, *, reviewer: str | None, dry_run: bool) -> Plan:
    """The plan of an import, carried out unless it is a dry run.

    Raises: UsageError where no pack was ever made, DataError for a file of no known format.
    """
    held = known(place)
    if not held.packs:
        problem = Problem(
            "no pack was made here, so nothing can come back",
            file=str(place.source.folder),
            fix="Make one: distill review export RUN --to FILE --format csv",
        )
        raise UsageError(str(problem), [problem])
    read = read_file(path, held.packs)

    def planned(log: Sequence[Review]) -> Plan:
        return make_plan(replace(held, log=log), read, reviewer=reviewer, now=precise_now())

    plan = planned(held.log)
    if not dry_run and plan.reviews:
        plans: list[Plan] = []

        def decide(log: Sequence[Review]) -> Sequence[Review]:
            # The same file, or another reviewer's, may have come in meanwhile.
            plans.append(plan if len(log) == len(held.log) else planned(log))
            return plans[-1].reviews

        amend(place.source.folder, decide)
        [plan] = plans
    return plan


def serve(
    place: Place,
    port: int,
    announce: Callable[[dict[str, Any]], None],
    *,
    pack: Pack | None = None,
    pack_id: str | None = None,
) -> None:
    """Serves a pack until interrupted: the one that is given or named, the newest, or a new one.

    Raises: UsageError for a pack that was never made or a port that is taken.
    """
    chosen = pack or _pack_to_serve(place, pack_id)
    service = Service(chosen, known(place), place.source.folder, precise_now)

    def told(address: Address) -> None:
        rows = len(chosen.rows)
        announce(
            {
                "url": address.url,
                "port": address.port,
                "pack_id": chosen.pack_id,
                "rows": rows,
                "kind": chosen.kind,
            }
        )

    run_server(service, port, told)


def _pack_to_serve(place: Place, pack_id: str | None) -> Pack:
    packs = read_packs(place.source.folder)
    if pack_id is not None:
        if pack_id not in packs:
            problem = Problem(f"no pack {pack_id!r}", allowed=", ".join(packs) or "none yet")
            raise UsageError(str(problem), [problem])
        return packs[pack_id]
    hashes = place.source.hashes()
    for pack in reversed(list(packs.values())):
        # One whose rows have all changed since is of no use any more.
        fresh = any(hashes.get(row.row_id) == row.content_hash for row in pack.rows)
        if pack.kind != "adjudicate" and fresh:
            return pack
    said = place.defaults
    [made] = make_packs(
        place.source,
        rows=None if place.run is None else said.rows,
        choose=said.choose,
        kind=said.kind,
        overlap=None,
        reviewers=(),
        packs=packs,
        now=now(),
    )
    write_pack(place.source.folder, made)
    return made


def precise_now() -> str:
    """The time in UTC, to the millisecond."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def agree(place: Place) -> dict[str, Any]:
    """Agreement and error rate, the shape of CONTRACT section 7."""
    folder = place.source.folder
    return agreement_of_reviews.agree(place.source, read_log(folder), read_packs(folder))


def conflicts(place: Place) -> list[dict[str, Any]]:
    """The queue of adjudication."""
    return [found.as_dict() for found in queue(place.source, read_log(place.source.folder))]


def conflict_pack(place: Place) -> Pack | None:
    """The queue as a pack, None where there is no conflict; it is remembered."""
    found = queue(place.source, read_log(place.source.folder))
    if not found:
        return None
    pack = adjudication_pack(place.source, found, now())
    write_pack(place.source.folder, pack)
    return pack


def merge_reviews(place: Place, policy: Policy) -> dict[str, Any]:
    """Writes the new version of the dataset and what became of every row.

    Raises: UsageError when nothing has been reviewed.
    """
    folder = place.source.folder
    log = read_log(folder)
    if not log:
        problem = Problem(
            "nothing has been reviewed yet",
            file=str(folder),
            fix="Import reviews first, or decide on the page: distill review serve RUN",
        )
        raise UsageError(str(problem), [problem])
    gold = gold_sets.read_registered(folder, gold_sets.GOLD)
    merged = merge(place.source, log, policy, frozenset(gold))
    version = place.write(merged)
    pairs = [place.rows_of_pair(pair).as_dict() for pair in merged.pairs]
    preferences = version.folder / "preferences.jsonl"
    if pairs:
        write_records(preferences, pairs)
    else:
        preferences.unlink(missing_ok=True)
    counts = merged.counts()
    about = {"version": version.number, "parent": version.parent, "at": now()}
    before = read_merged(folder)
    write_merged(folder, merged, about)
    diff = merged.diff()
    with atomic_file(version.folder / "review.md") as file:
        file.write(_diff_text(place.source.name, about, counts, policy, diff))
    return {
        "version": version.number,
        "parent": version.parent,
        **counts,
        "policy": policy,
        "dataset": str(version.folder),
        "preferences_file": str(preferences) if pairs else None,
        "diff": diff,
        "again": before is not None,
    }


def _diff_text(
    name: str,
    about: Mapping[str, Any],
    counts: Mapping[str, int],
    policy: str,
    diff: Mapping[str, Any],
) -> str:
    lines = [
        f"# What reviewers changed in {name}",
        "",
        f"Version {about['version']} (from {about['parent'] or 'the rows as they were made'}), "
        f"policy {policy}.",
        "",
        "| rows | |",
        "|---|--:|",
        *(f"| {what.replace('_', ' ')} | {n} |" for what, n in counts.items()),
    ]
    for field, changes in diff["changes"].items():
        lines += ["", f"## {field}", "", "| from | to | rows |", "|---|---|--:|"]
        lines += [f"| {_md(c['from'])} | {_md(c['to'])} | {c['rows']} |" for c in changes]
    if diff["tags"]:
        lines += ["", "## Tags", "", "| tag | rows |", "|---|--:|"]
        lines += [f"| {_md(tag)} | {n} |" for tag, n in diff["tags"].items()]
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "\\|")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("[", "\\[")


def gold(place: Place, to: Path, *, policy: Policy, reviews: int, force: bool) -> dict[str, Any]:
    """Writes a gold set and remembers its rows: they leave the training set at the next merge."""
    source = place.source
    made = gold_sets.make_gold(
        source, read_log(source.folder), policy=policy, reviews=reviews, force=force
    )
    write_records(to, made.rows)
    ids = [str(row["id"]) for row in made.rows]
    gold_sets.register(source.folder, gold_sets.GOLD, source, ids)
    marked = sum(bool(row["saw_suggestion"]) for row in made.rows)
    return {
        "to": str(to),
        "rows": len(made.rows),
        "saw_suggestion": marked,
        "left_out": dict(made.left_out),
    }


def shots(place: Place, to: Path, *, policy: Policy, number: int) -> dict[str, Any]:
    """Writes few-shot examples and remembers their rows: no gold set takes them."""
    source = place.source
    made = gold_sets.make_shots(source, read_log(source.folder), policy=policy, number=number)
    if not made.rows:
        problem = Problem("no approved row can be an example", file=source.name)
        raise UsageError(str(problem), [replace(problem, fix="Review rows first.")])
    write_records(to, made.rows)
    ids = [str(row["id"]) for row in made.rows]
    gold_sets.register(source.folder, gold_sets.SHOTS, source, ids)
    return {"to": str(to), "rows": len(made.rows), "left_out": dict(made.left_out)}
