// SPDX-License-Identifier: MIT
/*
 * PID 1 mounts file systems, loads modules and sets sysctls without a shell and
 * without forks, because each process adds milliseconds to an emulated boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "init.h"
#include "util.h"

#define MODULE_LIST	"/etc/modules-load"	/* paths, one a line */

static void print_error(const char *action, const char *path, long error)
{
	fprintf(stderr, "tsm-harness: cannot %s %s: %s\n", action, path, strerror((int)error));
}

static void mount_all(void)
{
	static const struct {
		const char *type, *path, *options;
		bool required;	/* the kernel may have been built without the others */
	} mounts[] = {
		{ "proc", "/proc", "", true },
		{ "sysfs", "/sys", "", true },
		{ "devtmpfs", "/dev", "", true },
		{ "devpts", "/dev/pts", "ptmxmode=0666", false },
		{ "tmpfs", "/dev/shm", "", false },
		{ "tmpfs", "/tmp", "mode=1777", false },
		{ "tmpfs", "/run", "", false },
		{ "debugfs", "/sys/kernel/debug", "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].path, 0755);
		/* EBUSY: the kernel has mounted devtmpfs itself. */
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, mounts[i].options) &&
		    errno != EBUSY && mounts[i].required)
			print_error("mount", mounts[i].path, errno);
	}
}

/* The kernel starts PID 1 without descriptors when the image has no /dev/console. */
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
		print_error("set", path, errno);
	close(fd);
}

static void load_modules(void)
{
	FILE *list = fopen(MODULE_LIST, "re");
	char path[1024];

	if (!list)
		return;
	while (fgets(path, sizeof(path), list)) {
		long error;

		path[strcspn(path, "\n")] = '\0';
		error = -insmod(path, "");
		if (error && error != EEXIST)
			print_error("load", path, error);
	}
	fclose(list);
}

/* Clients of a local service use 127.0.0.1. A kernel without IPv4 has no such device. */
static void set_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		print_error("set up", "lo", errno);
	close(fd);
}

void init_system(void)
{
	umask(022);
	mount_all();
	open_console();
	write_sysctl("/proc/sys/kernel/hung_task_timeout_secs", "5");
	write_sysctl("/proc/sys/kernel/hung_task_warnings", "-1");
	write_sysctl("/proc/sys/kernel/printk_devkmsg", "on\n");
	/* All functions, for a person at the console of a guest that hangs. */
	write_sysctl("/proc/sys/kernel/sysrq", "1");
	set_up_loopback();
	load_modules();
	/* The mount point exists only now when configfs is a module. */
	mount("configfs", "/sys/kernel/config", "configfs", 0, "");
}

void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
