/* ethdev_packet: what an af_packet port has beside an ethdev: sockets that idle threads sleep on.
 *
 * The driver keeps its sockets to itself; they are found among this process's descriptors.
 *
 * Threads: any, while the device is open
 * Memory:  none
 */
#ifndef WEIR_DATAPLANE_ETHDEV_PACKET_H
#define WEIR_DATAPLANE_ETHDEV_PACKET_H

#include <stdint.h>

/* Socket of a queue, which polls readable while a frame is in its ring. It stays the driver's. -1
 * for devices of other drivers, and where it cannot be told. */
int weir_ethdev_packet_fd(uint16_t ethdev_id, uint16_t queue);

#endif
