/* SPDX-License-Identifier: MIT */
/* virtio-serial ports, which the guest finds by name in sysfs. */
#ifndef PORTS_H
#define PORTS_H

#include <stdbool.h>

int port_find(const char *name, int timeout_ms);
bool port_connected(int fd);
void port_notify(int fd, bool on);
void port_wait_host(int fd);

#endif
