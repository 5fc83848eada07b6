// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: options are immutable objects. A write replaces them by a changed
 * copy, and a report is current while the entry still has the options that it
 * was made from: nothing is compared but this pointer. Each registration is an
 * object with a lock of its own, and an entry belongs to one registration for
 * ever.
 *
 * Freedoms: a new provider is accepted while entries of an old one exist, and
 * those refuse every read and every option; a report without outblob is empty;
 * EACCES for an unprivileged reader comes before EINVAL for a missing nonce.
 */
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "snapshots.h"

static struct entry *to_entry(struct config_item *item)
{
	return container_of(item, struct entry, item);
}

/* Until end_use(), the provider is there and does not leave. */
static const struct registration *start_use(struct entry *entry)
{
	struct registration *registration = entry->registration;

	if (down_read_killable(&registration->in_use))
		return ERR_PTR(-EINTR);
	if (registration->ops)
		return registration;
	up_read(&registration->in_use);
	return ERR_PTR(-ENXIO);
}

static void end_use(struct entry *entry)
{
	up_read(&entry->registration->in_use);
}

static ssize_t copy(const void *blob, size_t len, void *buf, size_t count)
{
	if (!buf)
		return len;
	if (len != count)
		return -EAGAIN;
	memcpy(buf, blob, len);
	return len;
}

#define RESULT_FILE(_blob)						\
static ssize_t entry_##_blob##_read(struct config_item *item, void *buf, \
				    size_t count)			\
{									\
	struct entry *entry = to_entry(item);				\
	const struct registration *registration = start_use(entry);	\
	struct result *result;						\
	ssize_t rc;							\
									\
	if (IS_ERR(registration))					\
		return PTR_ERR(registration);				\
	result = result_get(entry, registration);			\
	if (IS_ERR(result)) {						\
		rc = PTR_ERR(result);					\
	} else {							\
		rc = copy(result->report._blob,				\
			  result->report._blob##_len, buf, count);	\
		result_put(result);					\
	}								\
	end_use(entry);							\
	return rc;							\
}									\
CONFIGFS_BIN_ATTR_RO(entry_, _blob, NULL, TSM_REPORT_OUTBLOB_MAX)

RESULT_FILE(outblob);
RESULT_FILE(auxblob);
RESULT_FILE(manifestblob);

static ssize_t entry_generation_show(struct config_item *item, char *page)
{
	struct options *options = options_get(to_entry(item));
	ssize_t len = sysfs_emit(page, "%lu\n", options->generation);

	options_put(options);
	return len;
}
CONFIGFS_ATTR_RO(entry_, generation);

static ssize_t entry_provider_show(struct config_item *item, char *page)
{
	struct entry *entry = to_entry(item);
	const struct registration *registration = start_use(entry);
	ssize_t len;

	if (IS_ERR(registration))
		return PTR_ERR(registration);
	len = sysfs_emit(page, "%s\n", registration->ops->name);
	end_use(entry);
	return len;
}
CONFIGFS_ATTR_RO(entry_, provider);

static ssize_t entry_privlevel_floor_show(struct config_item *item, char *page)
{
	struct entry *entry = to_entry(item);
	const struct registration *registration = start_use(entry);
	ssize_t len;

	if (IS_ERR(registration))
		return PTR_ERR(registration);
	len = sysfs_emit(page, "%u\n", registration->ops->privlevel_floor);
	end_use(entry);
	return len;
}
CONFIGFS_ATTR_RO(entry_, privlevel_floor);

/* Change one option: @set makes the change, and may refuse it. */
static int change(struct entry *entry, const void *value, size_t len,
		  int (*set)(struct tsm_report_desc *desc,
			     const struct tsm_report_ops *ops,
			     const void *value, size_t len))
{
	const struct registration *registration = start_use(entry);
	struct options *options;
	int rc = -ENOMEM;

	if (IS_ERR(registration))
		return PTR_ERR(registration);
	mutex_lock(&entry->writing);
	options = options_change(entry, 0);
	if (options)
		rc = set(&options->desc, registration->ops, value, len);
	if (!rc)
		options_commit(entry, options);
	else if (options)
		options_put(options);
	mutex_unlock(&entry->writing);
	end_use(entry);
	return rc;
}

static int set_privlevel(struct tsm_report_desc *desc,
			 const struct tsm_report_ops *ops, const void *value,
			 size_t len)
{
	int rc = kstrtouint(value, 0, &desc->privlevel);

	if (!rc && (desc->privlevel < ops->privlevel_floor ||
		    desc->privlevel > TSM_REPORT_PRIVLEVEL_MAX))
		rc = -EINVAL;
	return rc;
}

static int set_service_provider(struct tsm_report_desc *desc,
				const struct tsm_report_ops *ops,
				const void *value, size_t len)
{
	const char *text = value, *newline = memchr(text, '\n', len);
	char *name = NULL;

	if (memchr(text, 0, len) || (newline && newline != text + len - 1))
		return -EINVAL;
	if (newline)
		len--;
	if (len) {
		name = kmemdup_nul(text, len, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	kfree(desc->service_provider);
	desc->service_provider = name;
	return 0;
}

static int set_service_guid(struct tsm_report_desc *desc,
			    const struct tsm_report_ops *ops, const void *value,
			    size_t len)
{
	const char *text = value;
	int rc = guid_parse(text, &desc->service_guid);

	if (!rc && !sysfs_streq(text + UUID_STRING_LEN, ""))
		rc = -EINVAL;
	return rc;
}

static int set_service_manifest_version(struct tsm_report_desc *desc,
					const struct tsm_report_ops *ops,
					const void *value, size_t len)
{
	return kstrtouint(value, 0, &desc->service_manifest_version);
}

#define OPTION_FILE(_option)						\
static ssize_t entry_##_option##_store(struct config_item *item,	\
				       const char *page, size_t count)	\
{									\
	return change(to_entry(item), page, count, set_##_option) ?:	\
	       (ssize_t)count;						\
}									\
CONFIGFS_ATTR_WO(entry_, _option)

OPTION_FILE(privlevel);
OPTION_FILE(service_provider);
OPTION_FILE(service_guid);
OPTION_FILE(service_manifest_version);

/* The result of this is lost at close: nothing but the length is refused. */
static ssize_t entry_inblob_write(struct config_item *item, const void *buf,
				  size_t count)
{
	struct entry *entry = to_entry(item);
	struct options *options;

	if (!count || count > TSM_REPORT_INBLOB_MAX)
		return -EINVAL;
	mutex_lock(&entry->writing);
	options = options_change(entry, __GFP_NOFAIL);
	memset(options->desc.inblob, 0, sizeof(options->desc.inblob));
	memcpy(options->desc.inblob, buf, count);
	options->desc.inblob_len = count;
	options_commit(entry, options);
	mutex_unlock(&entry->writing);
	return count;
}
CONFIGFS_BIN_ATTR_WO(entry_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

struct configfs_attribute *entry_attrs[] = {
	&entry_attr_generation,
	&entry_attr_provider,
	&entry_attr_privlevel,
	&entry_attr_privlevel_floor,
	&entry_attr_service_provider,
	&entry_attr_service_guid,
	&entry_attr_service_manifest_version,
	NULL
};

struct configfs_bin_attribute *entry_bin_attrs[] = {
	&entry_attr_inblob,
	&entry_attr_outblob,
	&entry_attr_auxblob,
	&entry_attr_manifestblob,
	NULL
};

static bool shows(struct config_item *item, struct configfs_attribute *attr,
		  int n)
{
	return to_entry(item)->shows & 1 << n;
}

static bool shows_binary(struct config_item *item,
			 struct configfs_bin_attribute *attr, int n)
{
	return to_entry(item)->shows_binary & 1 << n;
}

static void release(struct config_item *item)
{
	struct entry *entry = to_entry(item);

	result_put(entry->result);
	options_put(entry->options);
	registration_put(entry->registration);
	kfree(entry);
}

static struct configfs_item_operations item_ops = { .release = release };

static struct configfs_group_operations file_ops = {
	.is_visible = shows,
	.is_bin_visible = shows_binary,
};

const struct config_item_type entry_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &item_ops,
	.ct_group_ops = &file_ops,
	.ct_attrs = entry_attrs,
	.ct_bin_attrs = entry_bin_attrs,
};
