// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: one mutex protects the provider, all entries and all reports. It is
 * held while the provider makes a report, so that a slow report blocks
 * everything else: the claims F7 and P14 are expected to FAIL.
 *
 * Freedoms: ENODATA before the first nonce, ENODEV without a provider, EEXIST
 * for a second provider, EPERM for a reader without CAP_SYS_ADMIN; blanks
 * around a number are accepted; EPROTO for a report_new that returns no errno.
 */
#include <linux/bits.h>
#include <linux/capability.h>
#include <linux/cleanup.h>
#include <linux/configfs.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

struct request {
	struct config_item item;
	struct tsm_report report;
	bool complete;		/* the report is over the current options */
	unsigned long generation;
	unsigned long shown, shown_binary;
};

enum part { OUT, AUX, MANIFEST };

static DEFINE_MUTEX(tsm_mutex);
static const struct tsm_report_ops *tsm_ops;
static void *tsm_priv;
static unsigned int requests;

static struct request *to_request(struct config_item *item)
{
	return container_of(item, struct request, item);
}

static void forget_report(struct request *req)
{
	req->complete = false;
	kvfree(req->report.outblob);
	kvfree(req->report.auxblob);
	kvfree(req->report.manifestblob);
	memset_startat(&req->report, 0, outblob_len);
}

static void options_changed(struct request *req)
{
	req->generation++;
	req->complete = false;
}

static int check_lengths(const struct tsm_report *report)
{
	if (!report->outblob)
		return -EPROTO;
	if (report->outblob_len > TSM_REPORT_OUTBLOB_MAX ||
	    (report->auxblob && report->auxblob_len > TSM_REPORT_OUTBLOB_MAX) ||
	    (report->manifestblob &&
	     report->manifestblob_len > TSM_REPORT_OUTBLOB_MAX))
		return -EFBIG;
	return 0;
}

static int complete_report(struct request *req)
{
	int rc;

	if (!tsm_ops)
		return -ENODEV;
	if (!req->report.desc.inblob_len)
		return -ENODATA;
	if (req->complete)
		return 0;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	forget_report(req);
	rc = tsm_ops->report_new(&req->report, tsm_priv);
	if (rc > 0)
		rc = -EPROTO;
	if (!rc)
		rc = check_lengths(&req->report);
	if (rc)
		forget_report(req);
	else
		req->complete = true;
	return rc;
}

static ssize_t copy_part(const struct request *req, enum part part, void *buf,
			 size_t count)
{
	const struct tsm_report *report = &req->report;
	const u8 *bytes = report->outblob;
	size_t len = report->outblob_len;

	if (part == AUX) {
		bytes = report->auxblob;
		len = report->auxblob_len;
	} else if (part == MANIFEST) {
		bytes = report->manifestblob;
		len = report->manifestblob_len;
	}
	if (!bytes)
		len = 0;
	if (!buf)
		return len;
	/* Another report has come since configfs asked for the size. */
	if (count != len)
		return -EAGAIN;
	memcpy(buf, bytes, len);
	return len;
}

static ssize_t read_part(struct config_item *item, enum part part, void *buf,
			 size_t count)
{
	struct request *req = to_request(item);
	ssize_t rc;

	rc = mutex_lock_killable(&tsm_mutex);
	if (rc)
		return rc;
	rc = complete_report(req);
	if (!rc)
		rc = copy_part(req, part, buf, count);
	mutex_unlock(&tsm_mutex);
	return rc;
}

static ssize_t tsm_outblob_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_part(item, OUT, buf, count);
}
CONFIGFS_BIN_ATTR_RO(tsm_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t tsm_auxblob_read(struct config_item *item, void *buf,
				size_t count)
{
	return read_part(item, AUX, buf, count);
}
CONFIGFS_BIN_ATTR_RO(tsm_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static ssize_t tsm_manifestblob_read(struct config_item *item, void *buf,
				     size_t count)
{
	return read_part(item, MANIFEST, buf, count);
}
CONFIGFS_BIN_ATTR_RO(tsm_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

/*
 * Called at close, whose result configfs ignores. Without bytes: the write was
 * too long or empty.
 */
static ssize_t tsm_inblob_write(struct config_item *item, const void *buf,
				size_t count)
{
	struct request *req = to_request(item);

	if (count == 0 || count > TSM_REPORT_INBLOB_MAX)
		return -EINVAL;
	mutex_lock(&tsm_mutex);
	memcpy(req->report.desc.inblob, buf, count);
	memset(req->report.desc.inblob + count, 0,
	       TSM_REPORT_INBLOB_MAX - count);
	req->report.desc.inblob_len = count;
	options_changed(req);
	mutex_unlock(&tsm_mutex);
	return count;
}
CONFIGFS_BIN_ATTR_WO(tsm_, inblob, NULL, TSM_REPORT_INBLOB_MAX);

static ssize_t tsm_generation_show(struct config_item *item, char *page)
{
	guard(mutex)(&tsm_mutex);
	return sysfs_emit(page, "%lu\n", to_request(item)->generation);
}
CONFIGFS_ATTR_RO(tsm_, generation);

static ssize_t tsm_provider_show(struct config_item *item, char *page)
{
	guard(mutex)(&tsm_mutex);
	return tsm_ops ? sysfs_emit(page, "%s\n", tsm_ops->name) : -ENODEV;
}
CONFIGFS_ATTR_RO(tsm_, provider);

static ssize_t tsm_privlevel_floor_show(struct config_item *item, char *page)
{
	guard(mutex)(&tsm_mutex);
	if (!tsm_ops)
		return -ENODEV;
	return sysfs_emit(page, "%u\n", tsm_ops->privlevel_floor);
}
CONFIGFS_ATTR_RO(tsm_, privlevel_floor);

static int parse_number(const char *page, unsigned int *number)
{
	char *copy __free(kfree) = kstrdup(page, GFP_KERNEL);

	return copy ? kstrtouint(strim(copy), 0, number) : -ENOMEM;
}

static ssize_t tsm_privlevel_store(struct config_item *item, const char *page,
				   size_t count)
{
	struct request *req = to_request(item);
	unsigned int level;
	int rc;

	rc = parse_number(page, &level);
	if (rc)
		return rc;
	guard(mutex)(&tsm_mutex);
	if (!tsm_ops)
		return -ENODEV;
	if (level < tsm_ops->privlevel_floor ||
	    level > TSM_REPORT_PRIVLEVEL_MAX)
		return -EINVAL;
	req->report.desc.privlevel = level;
	options_changed(req);
	return count;
}
CONFIGFS_ATTR_WO(tsm_, privlevel);

static ssize_t tsm_service_provider_store(struct config_item *item,
					  const char *page, size_t count)
{
	struct request *req = to_request(item);
	size_t len = strcspn(page, "\n");
	char *name = NULL;

	/* One line without NUL; an empty one means no service. */
	if (len + (page[len] == '\n') != count)
		return -EINVAL;
	if (len) {
		name = kstrndup(page, len, GFP_KERNEL);
		if (!name)
			return -ENOMEM;
	}
	guard(mutex)(&tsm_mutex);
	swap(name, req->report.desc.service_provider);
	options_changed(req);
	kfree(name);
	return count;
}
CONFIGFS_ATTR_WO(tsm_, service_provider);

static ssize_t tsm_service_guid_store(struct config_item *item,
				      const char *page, size_t count)
{
	struct request *req = to_request(item);
	guid_t guid;

	if (guid_parse(page, &guid) || *skip_spaces(page + UUID_STRING_LEN))
		return -EINVAL;
	guard(mutex)(&tsm_mutex);
	guid_copy(&req->report.desc.service_guid, &guid);
	options_changed(req);
	return count;
}
CONFIGFS_ATTR_WO(tsm_, service_guid);

static ssize_t tsm_service_manifest_version_store(struct config_item *item,
						  const char *page,
						  size_t count)
{
	struct request *req = to_request(item);
	unsigned int version;
	int rc;

	rc = parse_number(page, &version);
	if (rc)
		return rc;
	guard(mutex)(&tsm_mutex);
	req->report.desc.service_manifest_version = version;
	options_changed(req);
	return count;
}
CONFIGFS_ATTR_WO(tsm_, service_manifest_version);

static struct configfs_attribute *tsm_attrs[] = {
	&tsm_attr_generation,
	&tsm_attr_provider,
	&tsm_attr_privlevel,
	&tsm_attr_privlevel_floor,
	&tsm_attr_service_provider,
	&tsm_attr_service_guid,
	&tsm_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *tsm_bin_attrs[] = {
	&tsm_attr_inblob,
	&tsm_attr_outblob,
	&tsm_attr_auxblob,
	&tsm_attr_manifestblob,
	NULL
};

static bool request_shows(struct config_item *item,
			  struct configfs_attribute *attr, int n)
{
	return to_request(item)->shown & BIT(n);
}

static bool request_shows_binary(struct config_item *item,
				 struct configfs_bin_attribute *attr, int n)
{
	return to_request(item)->shown_binary & BIT(n);
}

static void request_release(struct config_item *item)
{
	struct request *req = to_request(item);

	mutex_lock(&tsm_mutex);
	requests--;
	mutex_unlock(&tsm_mutex);
	forget_report(req);
	kfree(req->report.desc.service_provider);
	kfree(req);
}

static struct configfs_item_operations request_item_ops = {
	.release = request_release,
};

static struct configfs_group_operations request_visibility = {
	.is_visible = request_shows,
	.is_bin_visible = request_shows_binary,
};

static const struct config_item_type request_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &request_item_ops,
	.ct_group_ops = &request_visibility,
	.ct_attrs = tsm_attrs,
	.ct_bin_attrs = tsm_bin_attrs,
};

/* Ask now: the provider may have gone when configfs makes the files. */
static void ask_what_to_show(struct request *req)
{
	int n;

	for (n = 0; tsm_attrs[n]; n++)
		if (!tsm_ops->report_attr_visible ||
		    tsm_ops->report_attr_visible(n))
			req->shown |= BIT(n);
	for (n = 0; tsm_bin_attrs[n]; n++)
		if (!tsm_ops->report_bin_attr_visible ||
		    tsm_ops->report_bin_attr_visible(n))
			req->shown_binary |= BIT(n);
}

static struct config_item *request_make(struct config_group *group,
					const char *name)
{
	struct request *req;

	if (mutex_lock_killable(&tsm_mutex))
		return ERR_PTR(-EINTR);
	if (!tsm_ops) {
		mutex_unlock(&tsm_mutex);
		return ERR_PTR(-ENODEV);
	}
	req = kzalloc(sizeof(*req), GFP_KERNEL);
	if (req) {
		ask_what_to_show(req);
		requests++;
	}
	mutex_unlock(&tsm_mutex);
	if (!req)
		return ERR_PTR(-ENOMEM);
	config_item_init_type_name(&req->item, name, &request_type);
	return &req->item;
}

static struct configfs_group_operations report_ops = { .make_item =
							       request_make };

static const struct config_item_type report_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &report_ops,
};

static const struct config_item_type tsm_type = { .ct_owner = THIS_MODULE };

static struct configfs_subsystem tsm_subsystem = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &tsm_type },
	.su_mutex = __MUTEX_INITIALIZER(tsm_subsystem.su_mutex),
};

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	guard(mutex)(&tsm_mutex);
	if (tsm_ops)
		return -EEXIST;
	if (requests)
		return -EBUSY;
	tsm_ops = ops;
	tsm_priv = priv;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	guard(mutex)(&tsm_mutex);
	if (tsm_ops != ops)
		return -ENOENT;
	tsm_ops = NULL;
	tsm_priv = NULL;
	return 0;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct config_group *report_group;

static int __init tsm_init(void)
{
	int rc;

	config_group_init(&tsm_subsystem.su_group);
	rc = configfs_register_subsystem(&tsm_subsystem);
	if (rc)
		return rc;
	report_group = configfs_register_default_group(&tsm_subsystem.su_group,
						       "report", &report_type);
	if (!IS_ERR(report_group))
		return 0;
	configfs_unregister_subsystem(&tsm_subsystem);
	return PTR_ERR(report_group);
}
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	configfs_unregister_default_group(report_group);
	configfs_unregister_subsystem(&tsm_subsystem);
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports behind one mutex");
MODULE_LICENSE("GPL");
