# SPDX-License-Identifier: MIT
"""Markdown renderings of threads: front matter with a title, and one heading a mail."""

from __future__ import annotations

import pytest

from tests.mails import diff, new_file, only, parse

HEAD = "---\ntitle: 'tsm: Count ''em all'\ndate: 2026-03-02\nmessage_count: 3\n---\n\n"


def heading(number: int, author: str = "Ada Author", dash: str = "—", day: int = 2) -> str:
    return f"## [{number}] {author} {dash} 2026-03-{day:02}\n"


def test_first_mail_has_the_title_and_its_heading() -> None:
    posting = only(f"{HEAD}{heading(1)}\nCount it.\n\n{diff()}")
    assert (posting.subject, posting.version) == ("tsm: Count 'em all", 1)
    assert (posting.author, posting.date) == ("Ada Author", "2026-03-02")


@pytest.mark.parametrize(
    "title", ['"tsm: Add it"', "'tsm: Add it'", "tsm: Add it", "'[PATCH] tsm: Add it'"]
)
@pytest.mark.parametrize("dash", ["—", "–", "-", "--"])
def test_styles_of_front_matter_and_headings_are_equal(title: str, dash: str) -> None:
    posting = only(f"---\ntitle: {title}\n---\n{heading(1, dash=dash)}\n{diff()}")
    assert (posting.subject, posting.author) == ("tsm: Add it", "Ada Author")


def test_mail_without_a_subject_is_a_reply() -> None:
    hunk = f"This would do:\n\n{diff(new='C')}"
    posting = only(f"{HEAD}{heading(1)}\n{diff()}\n{heading(2, 'Bo Reviewer')}\n{hunk}")
    assert posting.author == "Ada Author"


def test_later_version_is_a_posting_with_its_own_author_and_date() -> None:
    first = f"{heading(1)}\n{diff()}"
    reply = f"{heading(2, 'Bo Reviewer')}*Subject: Re: [PATCH] tsm: Count 'em all*\n\nNo.\n"
    second = f"{heading(3, 'Cy', day=4)}*Subject: [PATCH v2] tsm: Count 'em all*\n\n{diff()}"
    postings = parse(f"{HEAD}{first}\n{reply}\n{second}")
    assert [(each.version, each.author, each.date) for each in postings] == [
        (1, "Ada Author", "2026-03-02"),
        (2, "Cy", "2026-03-04"),
    ]


def test_answer_shows_the_version_that_the_title_lacks() -> None:
    reply = f"{heading(2)}*Subject: Re: [PATCH v3] tsm: Count 'em all*\n\nFine.\n"
    assert only(f"{HEAD}{heading(1)}\n{diff()}\n{reply}").version == 3
    later = f"{heading(3)}*Subject: [PATCH v4] tsm: Count 'em all*\n\n{diff()}"
    answer = f"{heading(4)}*Subject: Re: [PATCH v4] tsm: Count 'em all*\n\nFine.\n"
    postings = parse(f"{HEAD}{heading(1)}\n{diff()}\n{later}\n{answer}")
    assert [each.version for each in postings] == [1, 4]


def test_series_is_one_posting() -> None:
    second = f"{heading(2)}*Subject: [PATCH v2 2/2] tsm: Use it*\n\n{diff()}"
    posting = only(f"{HEAD}{heading(1)}\n{new_file()}\n{second}")
    assert (posting.version, len(posting.patches)) == (2, 2)


def test_subject_in_the_message_begins_no_mail() -> None:
    body = "It says:\nSubject: [PATCH] another\n# [PATCH v9] heading of a document\n"
    posting = only(f"{HEAD}{heading(1)}\n{body}\n{diff()}")
    assert posting.subject == "tsm: Count 'em all"


def test_headings_without_front_matter_are_no_rendering() -> None:
    assert only(f"{heading(1)}\n{diff()}").author == ""
    assert only(f"---\ntitle: 'no mail'\n---\n{diff()}").subject == ""
