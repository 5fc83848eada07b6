/* SPDX-License-Identifier: MIT */
/*
 * What PID 1 does before it serves: file systems, modules, sysctls. No shell
 * and no forks, because under emulation each costs milliseconds of boot.
 *
 * /etc/modules-load: one module a line, "PATH [PARAMETERS]"; '#' starts a
 * comment. A file that is missing is skipped: other kernels have it built in.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

static bool verbose;

static void complain(const char *what, const char *path, long error)
{
	fprintf(stderr, "tsm-harness: cannot %s %s: %s\n", what, path, strerror((int)error));
}

static void mount_all(void)
{
	static const struct {
		const char *type, *path, *options;
	} mounts[] = {
		{ "proc", "/proc", "" },
		{ "sysfs", "/sys", "" },
		{ "devtmpfs", "/dev", "" },
		{ "devpts", "/dev/pts", "ptmxmode=0666" },
		{ "tmpfs", "/dev/shm", "" },
		{ "tmpfs", "/tmp", "mode=1777" },
		{ "tmpfs", "/run", "" },
		{ "debugfs", "/sys/kernel/debug", "" },
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].path, 0755);
		/* EBUSY: the kernel mounted devtmpfs itself. */
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, mounts[i].options) &&
		    errno != EBUSY && (verbose || i < 3))
			complain("mount", mounts[i].path, errno);
	}
}

/* Started without /dev/console in the image, PID 1 has no descriptors at all. */
static void open_console(void)
{
	int fd;

	if (fcntl(2, F_GETFD) >= 0)
		return;
	do
		fd = open("/dev/console", O_RDWR);
	while (fd >= 0 && fd < 2);
	if (fd > 2)
		close(fd);
	if (fd < 0)
		for (fd = open("/dev/null", O_RDWR); fd >= 0 && fd < 2; fd = dup(fd))
			;
}

static void write_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		complain("set", path, errno);
	close(fd);
}

static void load_modules(void)
{
	FILE *list = fopen("/etc/modules-load", "re");
	char line[1024], *params;
	long error;

	while (list && fgets(line, sizeof(line), list)) {
		line[strcspn(line, "#\n")] = '\0';
		params = line + strcspn(line, " \t");
		if (*params)
			*params++ = '\0';
		error = *line ? -insmod_path(line, params) : 0;
		if (error && error != EEXIST && error != ENOENT)
			complain("load", line, error);
	}
	if (list)
		fclose(list);
}

static void read_cmdline(void)
{
	char text[4096];
	FILE *file = fopen("/proc/cmdline", "re");

	verbose = file && fgets(text, sizeof(text), file) && strstr(text, "tsm_harness.verbose");
	if (file)
		fclose(file);
}

void init_system(void)
{
	umask(022);
	mount_all();
	open_console();
	read_cmdline();
	write_sysctl("/proc/sys/kernel/hung_task_timeout_secs", "5");
	write_sysctl("/proc/sys/kernel/hung_task_warnings", "-1");
	write_sysctl("/proc/sys/kernel/printk_devkmsg", "on\n");
	/* A person at the console of a wedged guest may ask the kernel anything. */
	write_sysctl("/proc/sys/kernel/sysrq", "1");
	load_modules();
	/* Where a configfs core has its files; the directory is the module's. */
	mount("configfs", "/sys/kernel/config", "configfs", 0, "");
	if (verbose)
		fprintf(stderr, "tsm-harness: file systems mounted, modules loaded\n");
}

void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
