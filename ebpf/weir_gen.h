/* weir_gen: what the frame generator's program and its user side share: the layout of a frame.
 *
 *   Ethernet 14 | IPv4 20 | UDP 8 | WEIR_GEN_LINES lines of WEIR_GEN_LINE bytes, each
 *   measurement,...host=node-HHHHHHH,... field=VVV.VVV TTTTTTTTTTTTTTTTTTT\n
 *
 * All lines are of one length, so that host, value and time lie where the program finds them.
 */
#ifndef WEIR_EBPF_WEIR_GEN_H
#define WEIR_EBPF_WEIR_GEN_H

#include <linux/types.h>

#define WEIR_GEN_LINES 12
#define WEIR_GEN_LINE 112
#define WEIR_GEN_HEADERS 42
#define WEIR_GEN_PAYLOAD (WEIR_GEN_LINES * WEIR_GEN_LINE)
#define WEIR_GEN_FRAME (WEIR_GEN_HEADERS + WEIR_GEN_PAYLOAD)

#define WEIR_GEN_TIME_DIGITS 19
#define WEIR_GEN_TIME_AT (WEIR_GEN_LINE - 1 - WEIR_GEN_TIME_DIGITS)
#define WEIR_GEN_VALUE_AT (WEIR_GEN_TIME_AT - 1 - 7) /* 123.456 */
#define WEIR_GEN_HOST_DIGITS 7
#define WEIR_GEN_HOST_AT 39

struct weir_gen_config {
    __u64 hosts;       /* frame n is host n % hosts's */
    __u64 start_ns;    /* sample time of frames 0 .. hosts - 1 */
    __u64 step_ns;     /* added each time all hosts have had theirs */
    __u64 interval_ns; /* between frames; 0: as fast as it goes */
    __u32 target;      /* interface index */
    __u32 reserved;
};

struct weir_gen_state {
    __u64 frame;   /* number of the next; all there were have been sent */
    __u64 due_ns;  /* when the next one may go, CLOCK_MONOTONIC */
};

#endif
