/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The defects that reviewers and readers found in the class as it was posted:
 *
 *	DEFECT(identifier, "name", "claims", "effect")
 *
 * Claims are separated by blanks; the first is the one that the defect is named
 * for. The module and harness/implementations/defects.py both read this list.
 */
DEFECT(DOUBLE_FREE, "double-free", "R1 P9 P10 P12",
       "a failed report_new leaves the pointer to the freed report in place")
DEFECT(READER_RACE, "reader-race", "J1 P9",
       "readers replace the report while they hold the lock only for reading")
DEFECT(SAME_VALUE, "same-value", "T1 S1 S2 T1b",
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
DEFECT(UNREGISTER_DEADLOCK, "unregister-deadlock", "P4",
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
