/* SPDX-License-Identifier: MIT */
/*
 * Raw system calls, which return the value or -errno. Actors share main's
 * memory and with it the C library's errno. Actor code must therefore not call
 * library functions that set errno, allocate or lock. x86-64 only, as the
 * guests are.
 */
#ifndef SYS_H
#define SYS_H

#include <sys/syscall.h>

static inline long sys_call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

#define SYS4(nr, a, b, c, d)	sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d))
#define SYS3(nr, a, b, c)	SYS4(nr, a, b, c, 0)
#define SYS2(nr, a, b)		SYS4(nr, a, b, 0, 0)
#define SYS1(nr, a)		SYS4(nr, a, 0, 0, 0)

#endif
