# SPDX-License-Identifier: MIT
"""The subjects of patches in a run report."""

from __future__ import annotations

from pathlib import Path

from harness.implementations.subject import subjects_of

MAIL = """\
From: Ann Author <ann@example.org>
Subject: [PATCH v2 1/1] tsm: free the report once
Message-Id: <1@example.org>
Date: Mon, 5 Jan 2026 10:00:00 +0000

It was freed twice.
---
diff --git a/drivers/virt/coco/tsm.c b/drivers/virt/coco/tsm.c
--- a/drivers/virt/coco/tsm.c
+++ b/drivers/virt/coco/tsm.c
@@ -1 +1 @@
-int a;
+int b;
--
2.40
"""


def test_a_patch_has_the_subject_of_its_posting(tmp_path: Path) -> None:
    mail = tmp_path / "fix.mbox"
    mail.write_text(MAIL)
    [subject] = subjects_of(["mainline", f"patch:{mail}", "dir:/tmp", f"patch:{mail}"]).values()
    assert subject == "tsm: free the report once (version 2), Ann Author"
    based = f"patch:{mail},base=tree:/linux"
    assert subjects_of([based]) == {based: subject}


def test_a_patch_that_cannot_be_read_has_no_subject(tmp_path: Path) -> None:
    assert subjects_of([f"patch:{tmp_path / 'gone'}", "class-posted"]) == {}
