/* SPDX-License-Identifier: MIT */
/*
 * A clone has its template's clock and random state; the host gives it new
 * ones. RNDADDENTROPY credits the bytes, RNDRESEEDCRNG puts them to use now.
 */
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define SEED_MIN 8u
#define SEED_MAX 512u

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
	len -= sizeof(ns);
	pool.info.entropy_count = (int)(8 * len);
	pool.info.buf_size = (int)len;
	memcpy(pool.bytes, payload + sizeof(ns), len);
	ts = (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return TSMW_IO;
	ok = !ioctl(fd, RNDADDENTROPY, &pool) && !ioctl(fd, RNDRESEEDCRNG);
	close(fd);
	return ok && !clock_settime(CLOCK_REALTIME, &ts) ? TSMW_OK : TSMW_IO;
}
