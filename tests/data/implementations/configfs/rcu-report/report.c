// SPDX-License-Identifier: GPL-2.0-only
/*
 * Style: a finished report is immutable and counted, and published through RCU.
 * A reader of a finished report takes no lock but that of the provider, a
 * per-CPU rw_semaphore. A commit withdraws the report.
 *
 * Freedoms: EINVAL before the first nonce; readers wait for a maker and can be
 * interrupted by a signal; a service's name may have NUL in it, and ends there.
 */
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/err.h>
#include <linux/kref.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu-rwsem.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/tsm.h>

struct evidence {
	struct tsm_report report;
	struct rcu_head rcu;
	struct kref ref;
};

struct instance {
	struct config_item item;
	unsigned int files, binary_files;	/* bit n: has file n */
	struct mutex lock; /* options; publishing evidence */
	unsigned long generation;
	struct tsm_report_desc desc;
	struct evidence __rcu *evidence;	/* over the current options */
};

DEFINE_STATIC_PERCPU_RWSEM(provider_sem);
static const struct tsm_report_ops *provider_ops;
static void *provider_data;
static atomic_t instances = ATOMIC_INIT(0);

static struct instance *item_to_instance(struct config_item *item)
{
	return container_of(item, struct instance, item);
}

/* The last user has gone. RCU readers may still look at the counter. */
static void evidence_release(struct kref *ref)
{
	struct evidence *evidence = container_of(ref, struct evidence, ref);

	kvfree(evidence->report.manifestblob);
	kvfree(evidence->report.auxblob);
	kvfree(evidence->report.outblob);
	kfree_rcu(evidence, rcu);
}

static void evidence_put(struct evidence *evidence)
{
	if (evidence)
		kref_put(&evidence->ref, evidence_release);
}

static struct evidence *evidence_get(struct instance *instance)
{
	struct evidence *evidence;

	rcu_read_lock();
	evidence = rcu_dereference(instance->evidence);
	if (evidence && !kref_get_unless_zero(&evidence->ref))
		evidence = NULL;
	rcu_read_unlock();
	return evidence;
}

/* The instance is locked: an option has been written. */
static void commit(struct instance *instance)
{
	struct evidence *old;

	old = rcu_replace_pointer(instance->evidence, NULL,
				  lockdep_is_held(&instance->lock));
	WRITE_ONCE(instance->generation, instance->generation + 1);
	evidence_put(old);
}

static int check(struct tsm_report *report)
{
	if (!report->outblob)
		return -EIO;
	if (!report->auxblob)
		report->auxblob_len = 0;
	if (!report->manifestblob)
		report->manifestblob_len = 0;
	if (max3(report->outblob_len, report->auxblob_len,
		 report->manifestblob_len) > TSM_REPORT_OUTBLOB_MAX)
		return -EFBIG;
	return 0;
}

/* The instance and the provider are locked. The result is for the caller. */
static struct evidence *evidence_make(struct instance *instance)
{
	struct evidence *evidence;
	int rc;

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EACCES);
	evidence = kzalloc(sizeof(*evidence), GFP_KERNEL);
	if (!evidence)
		return ERR_PTR(-ENOMEM);
	kref_init(&evidence->ref);
	evidence->report.desc = instance->desc;
	rc = provider_ops->report_new(&evidence->report, provider_data);
	/* The name is the instance's, and is free to change from here on. */
	evidence->report.desc.service_provider = NULL;
	if (rc > 0 || rc < -MAX_ERRNO)
		rc = -EIO;
	if (!rc)
		rc = check(&evidence->report);
	if (rc) {
		evidence_put(evidence);
		return ERR_PTR(rc);
	}
	kref_get(&evidence->ref);
	rcu_assign_pointer(instance->evidence, evidence);
	return evidence;
}

static struct evidence *evidence_get_or_make(struct instance *instance)
{
	struct evidence *evidence = evidence_get(instance);
	int rc;

	if (evidence)
		return evidence;
	rc = mutex_lock_interruptible(&instance->lock);
	if (rc)
		return ERR_PTR(rc);
	evidence = evidence_get(instance);
	if (!evidence && instance->desc.inblob_len)
		evidence = evidence_make(instance);
	else if (!evidence)
		evidence = ERR_PTR(-EINVAL);
	mutex_unlock(&instance->lock);
	return evidence;
}

static ssize_t copy(const u8 *from, size_t len, void *buf, size_t count)
{
	if (buf && count != len)
		return -EAGAIN;
	if (buf && len)
		memcpy(buf, from, len);
	return len;
}

static ssize_t copy_out(const struct tsm_report *report, void *buf,
			size_t count)
{
	return copy(report->outblob, report->outblob_len, buf, count);
}

static ssize_t copy_aux(const struct tsm_report *report, void *buf,
			size_t count)
{
	return copy(report->auxblob, report->auxblob_len, buf, count);
}

static ssize_t copy_manifest(const struct tsm_report *report, void *buf,
			     size_t count)
{
	return copy(report->manifestblob, report->manifestblob_len, buf, count);
}

static ssize_t read_evidence(struct config_item *item, void *buf, size_t count,
			     ssize_t (*copy_blob)(const struct tsm_report *,
						  void *, size_t))
{
	struct evidence *evidence;
	ssize_t rc = -ENXIO;

	percpu_down_read(&provider_sem);
	if (!provider_ops)
		goto out;
	evidence = evidence_get_or_make(item_to_instance(item));
	if (IS_ERR(evidence)) {
		rc = PTR_ERR(evidence);
		goto out;
	}
	rc = copy_blob(&evidence->report, buf, count);
	evidence_put(evidence);
out:
	percpu_up_read(&provider_sem);
	return rc;
}

static ssize_t inst_outblob_read(struct config_item *item, void *buf,
				 size_t count)
{
	return read_evidence(item, buf, count, copy_out);
}

static ssize_t inst_auxblob_read(struct config_item *item, void *buf,
				 size_t count)
{
	return read_evidence(item, buf, count, copy_aux);
}

static ssize_t inst_manifestblob_read(struct config_item *item, void *buf,
				      size_t count)
{
	return read_evidence(item, buf, count, copy_manifest);
}

static ssize_t inst_inblob_write(struct config_item *item, const void *buf,
				 size_t count)
{
	struct instance *instance = item_to_instance(item);

	if (!count)
		return -EINVAL;
	mutex_lock(&instance->lock);
	memset(&instance->desc.inblob, 0, sizeof(instance->desc.inblob));
	instance->desc.inblob_len = min(count, sizeof(instance->desc.inblob));
	memcpy(instance->desc.inblob, buf, instance->desc.inblob_len);
	commit(instance);
	mutex_unlock(&instance->lock);
	return count;
}

static ssize_t inst_generation_show(struct config_item *item, char *page)
{
	return sysfs_emit(page, "%lu\n",
			  READ_ONCE(item_to_instance(item)->generation));
}

static ssize_t inst_provider_show(struct config_item *item, char *page)
{
	ssize_t rc = -ENXIO;

	percpu_down_read(&provider_sem);
	if (provider_ops)
		rc = sysfs_emit(page, "%s\n", provider_ops->name);
	percpu_up_read(&provider_sem);
	return rc;
}

static ssize_t inst_privlevel_floor_show(struct config_item *item, char *page)
{
	ssize_t rc = -ENXIO;

	percpu_down_read(&provider_sem);
	if (provider_ops)
		rc = sysfs_emit(page, "%u\n", provider_ops->privlevel_floor);
	percpu_up_read(&provider_sem);
	return rc;
}

static int check_level(unsigned int level)
{
	int rc = -ENXIO;

	percpu_down_read(&provider_sem);
	if (provider_ops)
		rc = level < provider_ops->privlevel_floor ||
		     level > TSM_REPORT_PRIVLEVEL_MAX ? -EINVAL : 0;
	percpu_up_read(&provider_sem);
	return rc;
}

static ssize_t inst_privlevel_store(struct config_item *item, const char *page,
				    size_t count)
{
	struct instance *instance = item_to_instance(item);
	unsigned int level;
	int rc;

	rc = kstrtouint(page, 0, &level);
	if (!rc)
		rc = check_level(level);
	if (!rc)
		rc = mutex_lock_interruptible(&instance->lock);
	if (rc)
		return rc;
	instance->desc.privlevel = level;
	commit(instance);
	mutex_unlock(&instance->lock);
	return count;
}

static ssize_t inst_service_provider_store(struct config_item *item,
					   const char *page, size_t count)
{
	struct instance *instance = item_to_instance(item);
	size_t len = strcspn(page, "\n");
	char *name;

	if (!sysfs_streq(page + len, ""))
		return -EINVAL;
	name = kstrndup(page, len, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	if (mutex_lock_interruptible(&instance->lock)) {
		kfree(name);
		return -EINTR;
	}
	swap(name, instance->desc.service_provider);
	commit(instance);
	mutex_unlock(&instance->lock);
	kfree(name);
	return count;
}

static ssize_t inst_service_guid_store(struct config_item *item,
				       const char *page, size_t count)
{
	struct instance *instance = item_to_instance(item);
	guid_t guid;
	int rc;

	rc = guid_parse(page, &guid);
	if (!rc && !sysfs_streq(page + UUID_STRING_LEN, ""))
		rc = -EINVAL;
	if (!rc)
		rc = mutex_lock_interruptible(&instance->lock);
	if (rc)
		return rc;
	instance->desc.service_guid = guid;
	commit(instance);
	mutex_unlock(&instance->lock);
	return count;
}

static ssize_t inst_service_manifest_version_store(struct config_item *item,
						   const char *page,
						   size_t count)
{
	struct instance *instance = item_to_instance(item);
	unsigned int version;
	int rc;

	rc = kstrtouint(page, 0, &version);
	if (!rc)
		rc = mutex_lock_interruptible(&instance->lock);
	if (rc)
		return rc;
	instance->desc.service_manifest_version = version;
	commit(instance);
	mutex_unlock(&instance->lock);
	return count;
}

CONFIGFS_ATTR_RO(inst_, generation);
CONFIGFS_ATTR_RO(inst_, provider);
CONFIGFS_ATTR_WO(inst_, privlevel);
CONFIGFS_ATTR_RO(inst_, privlevel_floor);
CONFIGFS_ATTR_WO(inst_, service_provider);
CONFIGFS_ATTR_WO(inst_, service_guid);
CONFIGFS_ATTR_WO(inst_, service_manifest_version);
CONFIGFS_BIN_ATTR_WO(inst_, inblob, NULL, TSM_REPORT_INBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(inst_, outblob, NULL, TSM_REPORT_OUTBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(inst_, auxblob, NULL, TSM_REPORT_OUTBLOB_MAX);
CONFIGFS_BIN_ATTR_RO(inst_, manifestblob, NULL, TSM_REPORT_OUTBLOB_MAX);

static struct configfs_attribute *inst_attrs[] = {
	&inst_attr_generation,
	&inst_attr_provider,
	&inst_attr_privlevel,
	&inst_attr_privlevel_floor,
	&inst_attr_service_provider,
	&inst_attr_service_guid,
	&inst_attr_service_manifest_version,
	NULL
};

static struct configfs_bin_attribute *inst_bin_attrs[] = {
	&inst_attr_inblob,
	&inst_attr_outblob,
	&inst_attr_auxblob,
	&inst_attr_manifestblob,
	NULL
};

static bool inst_has_file(struct config_item *item,
			  struct configfs_attribute *attr, int n)
{
	return item_to_instance(item)->files >> n & 1;
}

static bool inst_has_binary_file(struct config_item *item,
				 struct configfs_bin_attribute *attr, int n)
{
	return item_to_instance(item)->binary_files >> n & 1;
}

static void inst_release(struct config_item *item)
{
	struct instance *instance = item_to_instance(item);

	evidence_put(rcu_dereference_protected(instance->evidence, true));
	kfree(instance->desc.service_provider);
	kfree(instance);
	atomic_dec(&instances);
}

static struct configfs_item_operations inst_ops = { .release = inst_release };

static struct configfs_group_operations inst_visibility = {
	.is_visible = inst_has_file,
	.is_bin_visible = inst_has_binary_file,
};

static const struct config_item_type inst_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &inst_ops,
	.ct_group_ops = &inst_visibility,
	.ct_attrs = inst_attrs,
	.ct_bin_attrs = inst_bin_attrs,
};

static unsigned int ask(bool (*has_file)(int n), unsigned int number)
{
	unsigned int files = 0;

	if (!has_file)
		return ~0;
	while (number--)
		files |= has_file(number) << number;
	return files;
}

static struct config_item *inst_make(struct config_group *group,
				     const char *name)
{
	struct instance *instance;

	instance = kzalloc(sizeof(*instance), GFP_KERNEL);
	if (!instance)
		return ERR_PTR(-ENOMEM);
	mutex_init(&instance->lock);
	percpu_down_read(&provider_sem);
	if (!provider_ops) {
		percpu_up_read(&provider_sem);
		kfree(instance);
		return ERR_PTR(-ENXIO);
	}
	instance->files = ask(provider_ops->report_attr_visible,
			      ARRAY_SIZE(inst_attrs) - 1);
	instance->binary_files = ask(provider_ops->report_bin_attr_visible,
				     ARRAY_SIZE(inst_bin_attrs) - 1);
	atomic_inc(&instances);
	percpu_up_read(&provider_sem);
	config_item_init_type_name(&instance->item, name, &inst_type);
	return &instance->item;
}

static struct configfs_group_operations reports_ops = { .make_item =
								inst_make };

static const struct config_item_type reports_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &reports_ops,
};

static const struct config_item_type subsystem_type = {
	.ct_owner = THIS_MODULE,
};

static struct configfs_subsystem subsystem = {
	.su_group.cg_item = { .ci_namebuf = "tsm", .ci_type = &subsystem_type },
	.su_mutex = __MUTEX_INITIALIZER(subsystem.su_mutex),
};

int tsm_report_register(const struct tsm_report_ops *ops, void *priv)
{
	int rc = -EBUSY;

	percpu_down_write(&provider_sem);
	if (!provider_ops && !atomic_read(&instances)) {
		provider_ops = ops;
		provider_data = priv;
		rc = 0;
	}
	percpu_up_write(&provider_sem);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_register);

int tsm_report_unregister(const struct tsm_report_ops *ops)
{
	int rc = -EBUSY;

	percpu_down_write(&provider_sem);
	if (provider_ops == ops) {
		provider_ops = NULL;
		rc = 0;
	}
	percpu_up_write(&provider_sem);
	return rc;
}
EXPORT_SYMBOL_GPL(tsm_report_unregister);

static struct config_group *reports;

static int __init tsm_init(void)
{
	int rc;

	config_group_init(&subsystem.su_group);
	rc = configfs_register_subsystem(&subsystem);
	if (rc)
		return rc;
	reports = configfs_register_default_group(&subsystem.su_group, "report",
						  &reports_type);
	if (IS_ERR(reports)) {
		configfs_unregister_subsystem(&subsystem);
		return PTR_ERR(reports);
	}
	return 0;
}
module_init(tsm_init);

static void __exit tsm_exit(void)
{
	configfs_unregister_default_group(reports);
	configfs_unregister_subsystem(&subsystem);
}
module_exit(tsm_exit);

MODULE_DESCRIPTION("TSM reports that are published through RCU");
MODULE_LICENSE("GPL");
