/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The defects that reviewers and readers found in the class as it was posted,
 * and behind them those for exploration to find:
 *
 *	DEFECT(identifier, "name", "claims", "effect")
 *
 * Claims are separated by blanks; the first is the one that the defect is named
 * for. The module and harness/implementations/defects.py both read this list.
 */
DEFECT(DOUBLE_FREE, "double-free", "R1 P9 P10 P12 M2",
       "a failed report_new leaves the pointer to the freed report in place")
DEFECT(READER_RACE, "reader-race", "J1 P9",
       "readers replace the report while they hold the lock only for reading")
DEFECT(SAME_VALUE, "same-value", "T1 S1 S2 T1b M1",
       "a write of the current value does not move the generation")
DEFECT(PREFIX_MATCH, "prefix-match", "P1",
       "an inblob that differs from the stored one only in length is not stored")
DEFECT(STALE_TAIL, "stale-tail", "T3",
       "a shorter inblob leaves the end of a longer one behind it")
DEFECT(SECOND_REGISTER, "second-register", "T4",
       "registration of a second provider has no effect but returns success")
DEFECT(PRIVLEVEL_UNBOUNDED, "privlevel-unbounded", "K3",
       "privlevel accepts every unsigned int")
DEFECT(HEX_INPUT, "hex-input", "K1 K2 P13",
       "inhex, readable hexadecimal text, replaces inblob")
DEFECT(UNREGISTER_DEADLOCK, "unregister-deadlock", "P4 M3",
       "the device is removed under the lock that its readers wait for")
DEFECT(STATE_SURVIVES, "state-survives", "P6",
       "the next provider inherits the values written for the last one")
DEFECT(TORN_REPORT, "torn-report", "P7",
       "one pass of reads can return parts of several reports")
DEFECT(UNLOCKED_SHOW, "unlocked-show", "P8",
       "privlevel and format are read without the lock")
DEFECT(NULL_REPORT, "null-report", "P12",
       "the pointer and length that report_new returns are not checked")
DEFECT(DYNAMIC_CLASS, "dynamic-class", "K4",
       "the class is created with class_create()")

/* For exploration: something is kept. */
DEFECT(LEAK_REPLACED, "leak-replaced", "M2",
       "a report that another one replaces is not freed")
DEFECT(LEAK_LARGE, "leak-large", "M2",
       "a report over 16 KiB that another one replaces is not freed")
DEFECT(LEAK_OVERSIZED, "leak-oversized", "M2",
       "a report that is too long is refused, but not freed")
DEFECT(LEAK_ON_EINTR, "leak-on-eintr", "M2",
       "a copy of the options is not freed when the request is interrupted")
DEFECT(LEAK_AT_UNREGISTER, "leak-at-unregister", "M2",
       "the cached report is not freed when its provider leaves")
DEFECT(LEAK_AT_EOF, "leak-at-eof", "M2",
       "the buffer of a read that returns no bytes is not freed")
DEFECT(LEAK_16TH_WRITE, "leak-16th-write", "M2",
       "every 16th write allocates a copy of the options, and none is freed")
DEFECT(DEVICE_REFERENCE_KEPT, "device-reference-kept", "M2",
       "a request that fails leaves a reference to the device")
DEFECT(MODULE_PINNED_ON_REFUSAL, "module-pinned-on-refusal", "M2",
       "a refused registration leaves a reference to the module")
DEFECT(NONCE_IN_LOG, "nonce-in-log", "M2",
       "each inblob is written to the kernel log")

/* For exploration: memory is used or freed after it was freed. */
DEFECT(FREED_BEFORE_READER, "freed-before-reader", "M1",
       "a reader continues with the report that the last one replaced, which is freed")
DEFECT(FREED_BEFORE_REMOVAL, "freed-before-removal", "M2",
       "the report is freed before the device is removed and its readers have ended")
DEFECT(DOUBLE_FREE_ENOMEM, "double-free-enomem", "M2",
       "if report_new fails with ENOMEM, the pointer to the freed report stays")
DEFECT(DOUBLE_FREE_OVERSIZED, "double-free-oversized", "M2",
       "the pointer to a report that was too long, and was freed, stays")

/* For exploration: the generation. */
DEFECT(COUNT_OVERSIZED, "count-oversized", "M1 F3",
       "an inblob that is too long is refused, but moves the generation")
DEFECT(FIRST_WRITE_UNCOUNTED, "first-write-uncounted", "M1 G1 U1",
       "the first inblob of a provider does not move the generation")
DEFECT(DEFAULT_UNCOUNTED, "default-uncounted", "M1 T1b",
       "a write of the default format does not move the generation")
DEFECT(GENERATION_U16, "generation-u16", "M1",
       "the generation has 16 bits")

/* For exploration: options and the inblob on their way to the provider. */
DEFECT(PRIVLEVEL_LOST, "privlevel-lost", "M1",
       "the provider always gets privlevel 0")
DEFECT(PRIVLEVEL_LATE, "privlevel-late", "M1",
       "the provider gets the privlevel before the one written last")
DEFECT(FORMAT_FIRST_ONLY, "format-first-only", "M1",
       "the provider gets the format of its first report in every request")
DEFECT(FORMAT_SURVIVES, "format-survives", "M1",
       "the next provider inherits the format")
DEFECT(STORED_BY_STRNCMP, "stored-by-strncmp", "M1",
       "an inblob is not stored if it equals the stored one up to a zero byte")
DEFECT(STORED_BY_SUM, "stored-by-sum", "M1",
       "an inblob is not stored if its bytes have the same sum as the stored ones")
DEFECT(NONCE_ALIGNED, "nonce-aligned", "M1",
       "the length of the inblob is rounded up to a multiple of 8")
DEFECT(ONE_BYTE_REFUSED, "one-byte-refused", "M1",
       "an inblob of one byte is refused")
DEFECT(PRIVLEVEL_CUT, "privlevel-cut", "M1",
       "privlevel is cut to 8 bits before it is checked")

/* For exploration: the report. */
DEFECT(CACHED_TWO_AGO, "cached-two-ago", "M1",
       "the cached report is served if its inblob was written again after another one")
DEFECT(READ_PAST_END, "read-past-end", "M1",
       "a read behind the end of the report returns what follows in memory")
DEFECT(PAGE_EDGE_REPEATS, "page-edge-repeats", "M1 P7",
       "a read at a multiple of the page size starts one byte too early")
DEFECT(REPORT_CUT_16K, "report-cut-16k", "M1",
       "a report over 16 KiB is cut")
DEFECT(LARGEST_REFUSED, "largest-refused", "M1",
       "a report of exactly the largest size is refused")
DEFECT(MIXED_ABOVE_8192, "mixed-above-8192", "M1",
       "a reader can get parts of several reports from offset 8192")

/* For exploration: errors of the provider. */
DEFECT(EAGAIN_AS_EIO, "eagain-as-eio", "M1",
       "EAGAIN of the provider becomes EIO")
DEFECT(TIMEOUT_CACHED, "timeout-cached", "M1",
       "after a timeout the provider is not asked again until the next write")
DEFECT(BUSY_RETRIED, "busy-retried", "M1",
       "a provider that is busy is asked a second time")
DEFECT(BUSY_SERVES_OLD, "busy-serves-old", "M1",
       "if the provider is busy, the old report is served")

/* For exploration: registration. */
DEFECT(REFUSED_AND_TAKEN, "refused-and-taken", "M1 T4",
       "a second provider is refused, but replaces the first one")
DEFECT(EXTRA_SHOWN, "extra-shown", "M1",
       "privlevel and format exist for a provider that did not ask for them")

/* For exploration: progress. */
DEFECT(LOCK_KEPT_ENOMEM, "lock-kept-enomem", "M3",
       "the lock stays held when report_new fails with ENOMEM")
DEFECT(LOCK_KEPT_REFUSED, "lock-kept-refused", "M3",
       "the lock stays held when a format is refused")
DEFECT(LOCK_RELEASED_TWICE, "lock-released-twice", "M3",
       "the lock is released twice when report_new times out")
DEFECT(LOCK_ORDER_INVERTED, "lock-order-inverted", "M3",
       "a write of format takes the locks in the other order than unregistering")
DEFECT(SLEEPS_IN_SPINLOCK, "sleeps-in-spinlock", "M3",
       "the provider makes an extended report under a spinlock")
DEFECT(MAKER_FLAG_KEPT, "maker-flag-kept", "M3",
       "after an interrupted request, readers wait for the one that made it")
DEFECT(QUEUED_READER_STUCK, "queued-reader-stuck", "M3",
       "a reader that was queued while the provider left waits for the next one")
DEFECT(SPINS_ON_EMPTY, "spins-on-empty", "M3",
       "a read of a report without bytes never ends")
