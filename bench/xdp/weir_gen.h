/* weir_gen: the frame generator's program and its user side share this ring of slots, filled by the
 * one and emptied by the other. */
#ifndef WEIR_BENCH_XDP_WEIR_GEN_H
#define WEIR_BENCH_XDP_WEIR_GEN_H

#include <linux/types.h>

#define WEIR_GEN_SLOTS 256 /* a power of two; 544 KiB: about a core's own cache */
#define WEIR_GEN_TARGETS_MAX 4
/* Frames that follow each other to one target: packets of one sender mostly stay together, as a NIC
 * keeps a sender on one queue. */
#define WEIR_GEN_TURN 32
#define WEIR_GEN_FRAME_MAX 1514
#define WEIR_GEN_FRAME_MIN 60

struct weir_gen_slot {
    __u32 size; /* of the frame */
    __u32 reserved[15];
    __u8 frame[2112]; /* longer than a frame may be: the filler checks the size afterwards */
};
_Static_assert(sizeof(struct weir_gen_slot) % 64 == 0, "slots begin at lines of the cache");

struct weir_gen_state {
    __u64 filled;  /* frames laid into slots; frame n is in slot n % WEIR_GEN_SLOTS */
    __u64 sent;    /* frames taken out of slots */
    __u64 refused; /* frames of a size that cannot be sent */
    __u32 targets[WEIR_GEN_TARGETS_MAX]; /* interface indexes */
    __u32 target_count;                  /* 1, 2 or 4, each of which gets a turn */
    __u32 reserved;
};

#endif
