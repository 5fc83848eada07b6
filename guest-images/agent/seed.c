// SPDX-License-Identifier: MIT
#include <endian.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "seed.h"
#include "tsmw.h"

#define SEED_MIN	8u
#define SEED_MAX	512u
#define NSEC_PER_SEC	1000000000u

/* Payload: __le64 UNIX time in nanoseconds, then 8 to 512 random bytes. */
uint32_t reseed(const uint8_t *payload, size_t len)
{
	struct {
		struct rand_pool_info info;
		uint8_t bytes[SEED_MAX];
	} pool;
	struct timespec ts;
	uint64_t ns;
	bool ok;
	int fd;

	if (len < sizeof(ns) + SEED_MIN || len > sizeof(ns) + SEED_MAX)
		return TSMW_INVALID;
	memcpy(&ns, payload, sizeof(ns));
	ns = le64toh(ns);
	len -= sizeof(ns);
	pool.info.entropy_count = (int)(8 * len);
	pool.info.buf_size = (int)len;
	memcpy(pool.bytes, payload + sizeof(ns), len);
	ts = (struct timespec){ (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return TSMW_IO;
	/* RNDADDENTROPY credits the bytes; RNDRESEEDCRNG makes the kernel use them now. */
	ok = !ioctl(fd, RNDADDENTROPY, &pool) && !ioctl(fd, RNDRESEEDCRNG);
	close(fd);
	return ok && !clock_settime(CLOCK_REALTIME, &ts) ? TSMW_OK : TSMW_IO;
}
