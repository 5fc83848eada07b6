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
DEFECT(UNCOUNTED_WIPE, "uncounted-wipe", "F3",
       "like wiping-refusal, and the generation does not show it")
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
DEFECT(LOOSE_GUID, "loose-guid", "C1 F11",
       "service_guid accepts any text")
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
DEFECT(WIPED_GUID, "wiped-guid", "F11",
       "a service_guid that is malformed is refused, and the stored one is cleared")

/*
 * From here on: mutants that no claim about one behaviour is written for. Their
 * first claim is M1 (behaviour as documented), M2 (nothing kept) or M3 (progress).
 */
DEFECT(REFUSED_COUNTS, "refused-counts", "M1",
       "a refused privlevel moves the generation")
DEFECT(VERSION_UNCOUNTED, "version-uncounted", "M1",
       "a write of service_manifest_version leaves the generation")
DEFECT(SHORT_GENERATION, "short-generation", "M1",
       "the generation is cut to 16 bits")
DEFECT(LOST_PRIVLEVEL, "lost-privlevel", "M1",
       "privlevel is counted and not stored")
DEFECT(LATE_VERSION, "late-version", "M1",
       "service_manifest_version is stored at the next write of it")
DEFECT(GUID_PREFIX, "guid-prefix", "M1",
       "a service_guid is not stored if its first half is the stored one's")
DEFECT(SAME_OPTION, "same-option", "M1",
       "a write of an option's current value keeps the report")
DEFECT(AUX_ANEW, "aux-anew", "M1 C5",
       "each open of auxblob makes a new report")
DEFECT(UNLOCKED_VERSION, "unlocked-version", "M1",
       "a report gets valid for the manifest version written meanwhile")
DEFECT(STRIPPED_ZEROS, "stripped-zeros", "M1 C1",
       "zero bytes at the end of inblob are cut off")
DEFECT(MAX_REFUSED, "max-refused", "M1 C1",
       "a blob of exactly the largest size is refused")
DEFECT(MANIFEST_LENGTH, "manifest-length", "M1",
       "manifestblob is served with the length of auxblob")
DEFECT(OLD_ON_TIMEOUT, "old-on-timeout", "M1",
       "the old report is served if the provider times out")
DEFECT(POSITIVE_LENGTH, "positive-length", "M1",
       "a positive result of report_new is taken for the length of a blob")
DEFECT(REFUSED_PRIV, "refused-priv", "T4",
       "reports are requested with the data of a provider that was refused")
DEFECT(BELOW_FLOOR, "below-floor", "M1",
       "the privilege level below the provider's floor is accepted")
DEFECT(FLOOR_SHOWN, "floor-shown", "M1",
       "privlevel_floor is shown although the provider hides it")
DEFECT(UNCHECKED_AUX, "unchecked-aux", "F2",
       "the size that configfs allocated for auxblob is not compared")
DEFECT(REVIVED_ENTRY, "revived-entry", "M1",
       "an entry has the options of the removed one of the same name")
DEFECT(LEAKED_ENTRY, "leaked-entry", "M2",
       "a removed entry is not freed")
DEFECT(LEAKED_AUXBLOB, "leaked-auxblob", "M2",
       "an auxblob of outdated options is not freed")
DEFECT(LEAKED_SERVICE, "leaked-service", "M2",
       "the last service_provider is not freed")
DEFECT(LEAKED_REPORT, "leaked-report", "M2",
       "the last report is not freed if the next one fails")
DEFECT(LEAKED_VMALLOC, "leaked-vmalloc", "M2",
       "blobs in vmalloc memory are not freed")
DEFECT(PINNED_MODULE, "pinned-module", "M2",
       "a report that fails keeps a reference to the module")
DEFECT(GROWING_NOTES, "growing-notes", "M2",
       "a note is allocated at each 16th write and not freed")
DEFECT(LOGGED_NONCE, "logged-nonce", "M2",
       "the nonce of a report that fails is printed")
DEFECT(EARLY_PUT, "early-put", "M2",
       "a refused service_guid drops a reference to the entry")
DEFECT(UNPINNED_OPS, "unpinned-ops", "M2",
       "the provider can leave while it makes a report")
DEFECT(STALE_LIST, "stale-list", "M2",
       "a removed entry stays in the provider's list")
DEFECT(AUX_FREED_TWICE, "aux-freed-twice", "M2 C1",
       "auxblob is freed twice if a blob is too long")
DEFECT(MANIFEST_FREED_TWICE, "manifest-freed-twice", "M2",
       "manifestblob is freed twice if the next report is interrupted")
DEFECT(UNPINNED_MODULE, "unpinned-module", "M2",
       "the module can be removed while there are entries")
DEFECT(LOCKED_DENIAL, "locked-denial", "M3",
       "the entry stays locked after a read that gets EACCES")
DEFECT(LOCKED_REFUSAL, "locked-refusal", "M3",
       "the registration stays locked after a refused privlevel")
DEFECT(RELEASED_TWICE, "released-twice", "M3",
       "the registration is released twice by a read that gets EINVAL")
DEFECT(INVERTED_LOCKS, "inverted-locks", "M3",
       "a write of privlevel takes the locks in the wrong order")
DEFECT(STUCK_FLAG, "stuck-flag", "M3",
       "an entry stays busy if its reader was killed")
DEFECT(KILLED_WAITER, "killed-waiter", "M1",
       "a reader that is killed while it waits unlocks the entry")
DEFECT(LOST_WAKEUP, "lost-wakeup", "M3",
       "readers that wait are not woken if the report fails")
DEFECT(SPINNING_READER, "spinning-reader", "M3",
       "a reader that waits for the entry spins")
