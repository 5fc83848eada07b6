/* SPDX-License-Identifier: MIT */
/*
 * System calls as the kernel answers them: the value, or -errno. Actors share
 * main's memory and with it the C library's errno, so their code must not use
 * library calls that set it, allocate or lock. x86-64 only, as the guests are.
 */
#ifndef SYS_H
#define SYS_H

#include <sys/syscall.h>

static inline long sys_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define SYS4(nr, a, b, c, d) \
	sys_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS3(nr, a, b, c)	SYS4(nr, a, b, c, 0)
#define SYS2(nr, a, b)		SYS4(nr, a, b, 0, 0)
#define SYS1(nr, a)		SYS4(nr, a, 0, 0, 0)

#endif
