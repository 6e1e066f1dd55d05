/* vdev: the texts that name DPDK ports ("net_af_xdp0,iface=eth0,queue_count=4"), and their
 * interfaces. */
#ifndef WEIR_APP_VDEV_H
#define WEIR_APP_VDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool weir_vdev_is_af_xdp(const char *vdev);

/* The value of NAME in "driver,NAME=value,..."; false if it is missing or does not fit. */
bool weir_vdev_argument(const char *vdev, const char *name, char *out, size_t size);

/* Queues that the port receives from: as its text says, else all that its interface has. A port of
 * another driver than AF_XDP has one. */
uint32_t weir_vdev_queues(const char *vdev);

bool weir_vdev_is_veth(const char *interface);

#endif
