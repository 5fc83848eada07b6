// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>

#include "defects.h"

static const struct {
	const char *name;
	const char *claim;
	const char *effect;
} defects[DEFECT_COUNT] = {
	[DEFECT_STALE_LENGTH] = {
		"stale-length", "F1",
		"a blob that a report lacks keeps the length of the last one" },
	[DEFECT_UNCHECKED_SIZE] = {
		"unchecked-size", "F2",
		"the size that configfs asked for is not compared with the report" },
	[DEFECT_WIPING_REFUSAL] = {
		"wiping-refusal", "F3",
		"a nonce that did not fit is stored as an empty one" },
	[DEFECT_SILENT_REFUSAL] = {
		"silent-refusal", "F4",
		"a nonce is refused at close, where nobody is told" },
	[DEFECT_ORPHAN_REPORT] = {
		"orphan-report", "F6",
		"a report is served when its provider has left" },
	[DEFECT_ONE_LOCK] = {
		"one-lock", "F7",
		"one lock for everything is held while a report is made" },
	[DEFECT_ANYBODY_ASKS] = {
		"anybody-asks", "F8",
		"anybody's reading makes a report" },
	[DEFECT_LATE_ATTRIBUTES] = {
		"late-attributes", "F10",
		"an entry gets its attributes after the lock was let go" },
	[DEFECT_UNCHECKED_PROVIDER] = {
		"unchecked-provider", "P5",
		"the provider's name is shown without a look whether there is one" },
	[DEFECT_SHORT_NAMES] = {
		"short-names", "C1",
		"an entry's name has 31 bytes at most" },
	[DEFECT_READABLE_NONCE] = {
		"readable-nonce", "C1",
		"inblob can be read" },
	[DEFECT_TRUNCATED_NONCE] = {
		"truncated-nonce", "C1",
		"a nonce that is too long is cut" },
	[DEFECT_ONE_ERRNO] = {
		"one-errno", "C1",
		"every failure of the provider is EIO" },
	[DEFECT_LOOSE_PRIVLEVEL] = {
		"loose-privlevel", "C1",
		"every unsigned int is a privlevel" },
	[DEFECT_LOOSE_GUID] = {
		"loose-guid", "C1",
		"anything is a service_guid" },
	[DEFECT_OLD_ERRNO] = {
		"old-errno", "C1",
		"a report without a provider is ENOTTY, as before 6.16" },
	[DEFECT_UNCOUNTED_ENTRIES] = {
		"uncounted-entries", "C1",
		"a provider registers while there are entries of the last one" },
	[DEFECT_INVERTED_MANIFEST] = {
		"inverted-manifest", "C2",
		"manifestblob is shown when the provider hides it, and only then" },
	[DEFECT_DOUBLE_COUNT] = {
		"double-count", "C3",
		"a write moves the generation by two" },
	[DEFECT_NO_CACHE] = {
		"no-cache", "C5",
		"a report is made for each reader" },
	[DEFECT_COALESCED_COUNT] = {
		"coalesced-count", "U2",
		"writing an option again before a report is made is not counted" },
};

#include "switches.h"
