"""The verification as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

from harvester.ledger import id_hash
from harvester.sink.verify.content import Content
from harvester.sink.verify.evidence import Evidence, gather
from harvester.sink.verify.seen import Kind, Seen
from harvester.sink.verify.verdict import Verdict

_EXAMPLES = 5


def verify(
    output: Path,
    *,
    lists: Iterable[Iterable[str]] | None = None,
    summary: Path | None = None,
    failures: Path | None = None,
) -> Verdict:
    """Read all of `output`, a file or a folder, and say what is wrong with it.

    Checked are: that the harvest has ended; checksums, sizes, rows and accounts of each part; that each line
    is JSON of one shape with an `accountId`; that the rows of an account stand together, once, and no month
    twice; that the failures file has the accounts that failed and no others. With `lists`, the list of IDs in
    batches, also that each of them is in the output, in the failures file or was answered without rows, and
    that no other account is there. Which were answered without rows is proved by count and digest, which
    manifest and summary hold (`IdDigest`); and so are all accounts where only differences were written.

    Memory does not grow with the output. Raises OutputFault when there is nothing there.
    """
    verdict = Verdict()
    evidence = gather(output, verdict, summary=summary, failures=failures)
    with closing(Seen()) as seen:
        content = Content(verdict, seen)
        for claim in evidence.claims:
            content.part(claim)
        for path in evidence.failures:
            content.failures(path)
        verdict.accounts = seen.accounts()
        if evidence.claims:
            _compare_accounts(evidence, content, seen, verdict, str(output))
        if lists is not None and evidence.claims:
            for ids in lists:
                seen.list(ids)
            _compare_list(evidence, content, seen, verdict, str(output))
    return verdict


def _compare_accounts(
    evidence: Evidence, content: Content, seen: Seen, verdict: Verdict, output: str
) -> None:
    """The accounts that were met are those that should be there."""
    kinds = {Kind.FAILED: "failed"}
    if not evidence.differences_only:
        kinds[Kind.HARVESTED] = "harvested"
    if content.shape == "accounts":
        kinds[Kind.EMPTY] = "empty"
    for kind, outcome in kinds.items():
        claimed, met = evidence.claimed(outcome), seen.digest(kind)
        if claimed is None or str(claimed) == str(met):
            continue
        if claimed.count != met.count:
            verdict.add(output, f"{claimed.count} accounts should be {outcome}, {met.count} are")
        else:
            verdict.add(output, f"the {met.count} accounts {outcome} are not those that should be")


def _compare_list(evidence: Evidence, content: Content, seen: Seen, verdict: Verdict, output: str) -> None:
    """The accounts of the list are those of the output."""
    for sighting in seen.unlisted():
        verdict.add(content.place(sighting), f"account {sighting.id!r} is not in the list")
    find = _list_problem if evidence.differences_only else _unmet_problem
    if problem := find(evidence, content, seen):
        verdict.add(output, problem)


def _list_problem(evidence: Evidence, content: Content, seen: Seen) -> str | None:  # noqa: ARG001  # as below
    """What is wrong with the list, where most accounts have no line: it must be the one harvested."""
    claimed, listed = evidence.claimed("distinct"), seen.listed()
    if claimed is None or str(claimed) == str(listed):
        return None
    return f"{claimed.count} accounts were harvested, and they are not the {listed.count} of the list"


def _unmet_problem(evidence: Evidence, content: Content, seen: Seen) -> str | None:
    """What is wrong with the IDs of the list that have no line anywhere; None when nothing is."""
    unmet = seen.unmet()
    told = f"{_named(seen, unmet.count)} neither in the output nor in the failures file"
    if content.shape == "accounts":
        return told if unmet.count else None
    empty = evidence.claimed("empty")
    if empty is None:
        return (
            f"{told}, and without a summary it can't be told whether they were asked for"
            if unmet.count
            else None
        )
    if unmet.count == empty.count + 1:
        odd = unmet.beyond(empty)
        for one in seen.unmet_ids():
            if id_hash(one) == odd:
                return f"account {one!r} of the list was never asked for"
    if unmet.count != empty.count:
        return f"{told}, but {empty.count} were answered without rows"
    if str(unmet) != str(empty):
        return f"{told}, and other {empty.count} were answered without rows"
    return None


def _named(seen: Seen, count: int) -> str:
    if not count:
        return "no ID of the list is"
    examples = ", ".join(repr(one) for one in islice(seen.unmet_ids(), _EXAMPLES))
    return f"{count} IDs of the list ({examples}{', …' if count > _EXAMPLES else ''}) are"
