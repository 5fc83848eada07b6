# SPDX-License-Identifier: MIT
"""``patch``: shows the postings in mails, and which of their files would be judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import click
from rich.console import Console

from harness.errors import UsageError
from harness.implementations.touched import judged_paths
from harness.mail.choice import choose_posting, list_postings, selected_posting, split_selector
from harness.mail.model import FileChange, PostedPatch, Posting
from harness.mail.sources import read_postings
from harness.report.text import print_text

__all__ = ["patch"]


@click.command()
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def patch(source: str, as_json: bool) -> int:
    """Show the postings in SOURCE: subjects, versions, authors, files, and what would be judged.

    SOURCE is a mail, an mbox, a maildir, a diff, a directory of patches, - for standard input, or a
    message id. A # with a number or a version chooses one posting: thread.mbox#2, thread.mbox#v3.
    """
    name, selector = split_selector(source)
    postings = read_postings(name)
    only = selected_posting(postings, selector) if selector else None
    shown = [(at, each) for at, each in enumerate(postings) if only in (None, at)]
    chosen = _chosen(postings, selector)
    if as_json:
        click.echo(json.dumps([_as_json(at, each, chosen) for at, each in shown], indent=1))
        return 0
    console = Console(highlight=False)
    for number, (at, posting) in enumerate(shown):
        for line in [*([""] if number else []), *_lines(at, posting, list_postings(postings)[at])]:
            print_text(console, line)
    print_text(console, f"\n{_conclusion(source, postings, chosen)}")
    return 0


def _chosen(postings: Sequence[Posting], selector: str) -> int | UsageError:
    """The posting that a run takes, or why it takes none."""
    try:
        choose_posting(postings, selector)
    except UsageError as error:
        return error
    return selected_posting(postings, selector)


def _conclusion(source: str, postings: Sequence[Posting], chosen: int | UsageError) -> str:
    if isinstance(chosen, UsageError):
        return f"A run would refuse it: {chosen}"
    if not judged_paths(postings[chosen]):
        return f"A run would judge nothing: #{chosen + 1} changes no file of the report interface."
    return f"`tsm-harness run --tsm patch:{source}` takes #{chosen + 1}."


def _lines(at: int, posting: Posting, title: str) -> Iterator[str]:
    yield title
    if posting.date:
        yield f"  date: {posting.date}"
    if len(posting.patches) > 1:
        for number, each in enumerate(posting.patches, 1):
            yield f"  {each.number or number}/{len(posting.patches)} {each.subject}"
    judged = judged_paths(posting)
    yield f"  judged: {', '.join(_described(posting, judged)) or 'nothing'}"
    rest = [path for path in posting.paths if path not in judged]
    if rest:
        yield f"  not judged: {', '.join(_described(posting, rest))}"
    for note in posting.notes:
        yield f"  note: {note}"


def _described(posting: Posting, paths: Sequence[str]) -> Iterator[str]:
    """The paths, each with what happens to the file when that is more than a change."""
    first: dict[str, FileChange] = {}
    for each in posting.patches:
        for change in each.changes:
            first.setdefault(change.new or change.old, change)
    for path in paths:
        change = first[path]
        if not change.old:
            yield f"{path} (new)"
        elif not change.new:
            yield f"{path} (removed)"
        else:
            yield path if change.old == change.new else f"{path} (was {change.old})"


def _as_json(at: int, posting: Posting, chosen: int | UsageError) -> dict[str, object]:
    judged = judged_paths(posting)
    return {
        "number": at + 1,
        "chosen": chosen == at,
        "subject": posting.subject,
        "version": posting.version,
        "author": posting.author,
        "date": posting.date,
        "message_id": posting.message_id,
        "patches": [_patch_as_json(each) for each in posting.patches],
        "judged": list(judged),
        "not_judged": [path for path in posting.paths if path not in judged],
        "damaged": list(posting.damaged),
        "notes": list(posting.notes),
    }


def _patch_as_json(posted: PostedPatch) -> dict[str, object]:
    return {
        "number": posted.number,
        "subject": posted.subject,
        "message_id": posted.message_id,
        "files": [{"old": change.old, "new": change.new} for change in posted.changes],
    }
