"""Makes packs of the rows under review."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from distill.errors import Problem, UsageError
from distill.review.choose import Choose, Chosen, assign, choose_rows
from distill.review.doubt import find_doubts
from distill.review.named import NAMED, choose_named
from distill.review.pack import Kind, Pack, PackRow, pack_id_of, visible
from distill.review.source import Source


def make_packs(
    source: Source,
    *,
    rows: int | None,
    choose: Choose,
    kind: Kind,
    overlap: int | None,
    reviewers: Sequence[str],
    packs: Mapping[str, Pack],
    now: str,
    named: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Pack]:
    """One pack, or one for each of several reviewers.

    With `overlap` K and one reviewer, rows that K others have in their packs are left out, and rows
    that some have come first, so that packs made one after the other overlap. `named` rows (id ->
    why) are sent in place of those that `choose` would choose.

    Raises: UsageError when nothing is left to send.
    """
    doubts = find_doubts(source.doubtable(), outputs=source.outputs, thresholds=source.thresholds)
    ids = list(source.rows)
    if overlap is not None and len(reviewers) == 1:
        ids = _left(ids, reviewers[0], overlap, packs, kind)
    if not ids:
        problem = Problem(
            "no row is left to send", file=source.name, fix="Raise --overlap or leave it out."
        )
        raise UsageError(str(problem), [problem])
    if named is None:
        chosen = choose_rows(ids, doubts, choose, rows, source.seed)
    else:
        chosen = choose_named(ids, named, rows, source.name)
    hashes = source.hashes()
    made = [_row(source, pick, kind, hashes[pick.id]) for pick in chosen]
    blank = Pack("", kind, source.name, now, source.schema, (), None, overlap,
                 choose if named is None else NAMED, len(ids))  # fmt: skip
    if len(reviewers) < 2:
        return [finished(blank, made, reviewers[0] if reviewers else None)]
    given = assign([row.row_id for row in made], reviewers, overlap or 1, source.seed)
    rows_of = {row.row_id: row for row in made}
    return [finished(blank, [rows_of[id] for id in given[name]], name) for name in reviewers]


def _left(
    ids: Sequence[str], reviewer: str, overlap: int, packs: Mapping[str, Pack], kind: Kind
) -> list[str]:
    have: dict[str, set[str]] = {}
    for pack in packs.values():
        if pack.reviewer and pack.kind == kind:
            for row in pack.rows:
                have.setdefault(row.row_id, set()).add(pack.reviewer)
    fit = [id for id in ids if len(have.get(id, set()) - {reviewer}) < overlap]
    begun = [id for id in fit if have.get(id, set()) - {reviewer}]
    return begun or fit


def _row(source: Source, pick: Chosen, kind: Kind, content_hash: str) -> PackRow:
    fields = source.rows[pick.id]
    hidden: set[str] = set()
    if kind == "gold":
        seen = source.blind
        hidden = set(source.outputs) if seen is None else set(fields) - set(seen)
        hidden |= {name for name in fields if name.endswith(("_votes", "_p", "_finish"))}
    return PackRow(
        row_id=pick.id,
        content_hash=content_hash,
        show=visible(fields, source.first, hidden),
        suggestion={} if kind == "gold" else source.suggestions(fields),
        # What makes a row doubtful tells of the model's answer: a blind pack does not say it.
        why=tuple(w for w in pick.why if w == "random") if kind == "gold" else pick.why,
        p_incl=pick.p_incl,
    )


def finished(blank: Pack, rows: Sequence[PackRow], reviewer: str | None) -> Pack:
    """The pack with its rows, its reviewer and the id that follows from them."""
    id = pack_id_of(blank.kind, blank.schema, rows, reviewer)
    return replace(blank, pack_id=id, rows=tuple(rows), reviewer=reviewer)
