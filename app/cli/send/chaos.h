/* chaos: loses, doubles and delays the packets of one channel on purpose, and knows the truth.
 *
 *   push -> lost
 *        -> one copy or two -> on at once, or held until up to 1,023 later ones went on -> emit
 *
 * Every packet has a number, counted from 1. The truth is given as Weir counts it
 * (docs/format/wire.md, Numbers): reordered are packets whose first copy went on after a higher
 * number, or after a heartbeat that announced theirs; duplicated are second copies.
 *
 * Threads: one at a time
 * Memory:  a copy of each held packet, at most 2 x 1,023
 * Errors:  those of emit, and WEIR_NOMEM
 */
#ifndef WEIR_APP_CLI_SEND_CHAOS_H
#define WEIR_APP_CLI_SEND_CHAOS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The same seed does the same to the same packets. The others are chances of 2^32. */
struct weir_chaos_options {
    uint64_t seed;
    uint64_t loss;
    uint64_t dup;     /* of packets that are not lost */
    uint64_t reorder; /* of copies */
};

/* Units are counted by the pusher: lines, samples. */
struct weir_chaos_truth {
    uint64_t packets;
    uint64_t units;
    uint64_t lost;
    uint64_t units_lost;
    uint64_t duplicated;
    uint64_t units_duplicated;
    uint64_t reordered;
};

typedef enum weir_err weir_chaos_emit_fn(void *context, const uint8_t *packet, size_t size);

struct weir_chaos;

/* "SEED,LOSS,DUP,REORDER", the last three in percent, each at most 90. */
enum weir_err weir_chaos_parse(const char *text, struct weir_chaos_options *out) WEIR_MUST_USE;

enum weir_err weir_chaos_new(const struct weir_chaos_options *options, weir_chaos_emit_fn *emit,
    void *context, struct weir_chaos **out) WEIR_MUST_USE;
/* Drops the packets that are held. */
void weir_chaos_free(struct weir_chaos *chaos);

/* The packet of the next number. */
enum weir_err weir_chaos_push(struct weir_chaos *chaos, const uint8_t *packet, size_t size,
    uint64_t units) WEIR_MUST_USE;
/* A packet of the weir protocol, in the order of its channel. One without a number goes on at once.
 * The closing heartbeat follows all packets that are held: only what it leaves open is lost. Units
 * are samples. */
enum weir_err weir_chaos_push_wire(struct weir_chaos *chaos, const uint8_t *packet, size_t size)
    WEIR_MUST_USE;
/* A heartbeat that goes on now announces packets up to this number. */
void weir_chaos_heartbeat(struct weir_chaos *chaos, uint64_t number);
/* Sends on all that is held. */
enum weir_err weir_chaos_flush(struct weir_chaos *chaos) WEIR_MUST_USE;

const struct weir_chaos_truth *weir_chaos_truth(const struct weir_chaos *chaos);

#endif
