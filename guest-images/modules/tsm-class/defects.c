// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>

#include "defects.h"

static const struct {
	const char *name;
	const char *claim;
	const char *effect;
} defects[DEFECT_COUNT] = {
	[DEFECT_DOUBLE_FREE] = {
		"double-free", "R1",
		"a failed report_new leaves the freed report in place" },
	[DEFECT_READER_RACE] = {
		"reader-race", "J1",
		"a report is replaced under the read lock" },
	[DEFECT_SAME_VALUE] = {
		"same-value", "T1",
		"a write of the current value is not counted" },
	[DEFECT_PREFIX_MATCH] = {
		"prefix-match", "P1",
		"an inblob that only differs in length is not stored" },
	[DEFECT_STALE_TAIL] = {
		"stale-tail", "T3",
		"a shorter inblob leaves the end of a longer one behind it" },
	[DEFECT_SECOND_REGISTER] = {
		"second-register", "T4",
		"a second provider is refused, and told that it was not" },
	[DEFECT_PRIVLEVEL_UNBOUNDED] = {
		"privlevel-unbounded", "K3",
		"every unsigned int is a privlevel" },
	[DEFECT_HEX_INPUT] = {
		"hex-input", "K1",
		"inhex, readable hexadecimal text, in place of inblob" },
	[DEFECT_UNREGISTER_DEADLOCK] = {
		"unregister-deadlock", "P4",
		"the device is removed with the lock held its readers wait for" },
	[DEFECT_STATE_SURVIVES] = {
		"state-survives", "P6",
		"the next provider finds the values written for the last one" },
	[DEFECT_TORN_REPORT] = {
		"torn-report", "P7",
		"one pass of reads can be served from several reports" },
	[DEFECT_UNLOCKED_SHOW] = {
		"unlocked-show", "P8",
		"privlevel and format are read without the lock" },
	[DEFECT_NULL_REPORT] = {
		"null-report", "P12",
		"what report_new returns is not checked" },
	[DEFECT_DYNAMIC_CLASS] = {
		"dynamic-class", "K4",
		"the class is made by class_create()" },
};

#include "switches.h"
