/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What can be wrong with an implementation in configfs: defects of the kernel's
 * own, present and past, and mistakes that its documentation rules out.
 *
 *	DEFECT(identifier, "name", "claims", "effect")
 *
 * Claims are separated by blanks; the first is the one that the defect is named
 * for. The module and harness/implementations/defects.py both read this list.
 */
DEFECT(STALE_LENGTH, "stale-length", "F1",
       "a blob that the new report lacks keeps the length of the last one")
DEFECT(UNCHECKED_SIZE, "unchecked-size", "F2",
       "the size that configfs allocated is not compared with the report")
DEFECT(WIPING_REFUSAL, "wiping-refusal", "F3",
       "an inblob that is too long is refused, and an empty one is stored")
DEFECT(SILENT_REFUSAL, "silent-refusal", "F4",
       "an inblob is refused at close, where the writer gets no error")
DEFECT(ORPHAN_REPORT, "orphan-report", "F6",
       "a cached report is served after its provider unregistered")
DEFECT(ONE_LOCK, "one-lock", "F7 P14",
       "one lock for all entries is held while a report is made")
DEFECT(ANYBODY_ASKS, "anybody-asks", "F8",
       "a read without CAP_SYS_ADMIN makes a report")
DEFECT(LATE_ATTRIBUTES, "late-attributes", "F10 F7",
       "an entry gets its attributes after the lock was released")
DEFECT(UNCHECKED_PROVIDER, "unchecked-provider", "P5 C1",
       "the provider's name is read without a check that there is a provider")
DEFECT(SHORT_NAMES, "short-names", "C1",
       "an entry's name has at most 31 bytes")
DEFECT(READABLE_NONCE, "readable-nonce", "C1 K2 C2",
       "inblob can be read")
DEFECT(TRUNCATED_NONCE, "truncated-nonce", "C1 F3",
       "an inblob that is too long is cut off")
DEFECT(ONE_ERRNO, "one-errno", "C1",
       "every failure of the provider becomes EIO")
DEFECT(LOOSE_PRIVLEVEL, "loose-privlevel", "C1 K3",
       "privlevel accepts every unsigned int")
DEFECT(LOOSE_GUID, "loose-guid", "C1",
       "service_guid accepts any text")
DEFECT(OLD_ERRNO, "old-errno", "C1",
       "a read without a provider fails with ENOTTY, as before 6.16")
DEFECT(UNCOUNTED_ENTRIES, "uncounted-entries", "C1",
       "a provider can register while entries of the last one exist")
DEFECT(INVERTED_MANIFEST, "inverted-manifest", "C2",
       "manifestblob is shown only when the provider hides it")
DEFECT(DOUBLE_COUNT, "double-count", "C3 S3 G1 T1 U1 U3",
       "a write moves the generation by two")
DEFECT(NO_CACHE, "no-cache", "C5",
       "each open of outblob makes a new report")
DEFECT(COALESCED_COUNT, "coalesced-count", "U2 T1 U1",
       "repeated writes of one option before a report is made count once")
