/* ethdev_packet: what an af_packet port has beside an ethdev: sockets that idle threads sleep on,
 * and that count what their rings could not hold, which the driver does not report.
 *
 * The driver keeps its sockets to itself; they are found among this process's descriptors.
 *
 * Threads: any, while the device is open
 * Memory:  none
 */
#ifndef WEIR_DATAPLANE_PORT_ETHDEV_AF_PACKET_H
#define WEIR_DATAPLANE_PORT_ETHDEV_AF_PACKET_H

#include <stdint.h>

/* Takes out and forgets what the queues of a device that was just started hold, if its driver is
 * net_af_packet. Its sockets hear every interface from when they are made until they are bound:
 * those frames are somebody else's, and are counted nowhere. */
void weir_ethdev_packet_discard(uint16_t ethdev_id, uint16_t queue_count);

/* Socket of a queue, which polls readable while a frame is in its ring. It stays the driver's. -1
 * for devices of other drivers, and where it is not known. */
int weir_ethdev_packet_fd(uint16_t ethdev_id, uint16_t queue);

/* Frames that the kernel dropped at this socket since it was asked last, its ring being full. */
uint64_t weir_ethdev_packet_missed(int fd);

#endif
