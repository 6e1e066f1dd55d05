/* twin_weir: docs/format/wire.md written down plainly, without regard to speed. A packet goes in,
 * what has to become of it comes out. Series are numbered by the twin itself.
 *
 * Threads: one at a time
 * Memory:  its own; aborts where there is none
 * Limits:  TWIN_WEIR_SAMPLES samples a packet
 */
#ifndef WEIR_TESTS_TWIN_WEIR_H
#define WEIR_TESTS_TWIN_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TWIN_WEIR_SAMPLES 8192

enum twin_weir_kind { TWIN_WEIR_OTHER, TWIN_WEIR_SAMPLED, TWIN_WEIR_DEFERRED };

struct twin_weir_record {
    size_t at; /* from the packet's start */
    size_t size;
    uint32_t samples;
    uint8_t reason; /* WEIR_REASON_NONE: taken */
    enum twin_weir_kind kind;
};

struct twin_weir_sample {
    uint32_t series;
    int64_t time_ms;
    uint64_t bits;
};

struct twin_weir_answer {
    size_t consumed;
    bool bad;
    bool waits; /* its channel's definitions have to be completed first */
    bool numbered_channel; /* the ack fields of the packet speak of its channel */
    uint32_t record_count;
    struct twin_weir_record records[255];
    uint32_t sample_count;
    struct twin_weir_sample samples[TWIN_WEIR_SAMPLES];
    uint64_t gaps, reorderings, duplicates, jumps;
};

struct twin_weir_state {
    uint32_t epoch;
    uint64_t highest;
    uint64_t complete; /* all numbers up to it have come or were given up */
};

struct twin_weir;

struct twin_weir *twin_weir_new(uint32_t channels_max, int64_t time_min_ms, int64_t time_max_ms);
void twin_weir_free(struct twin_weir *twin);
/* The first packet of these bytes. refusal: the reason by which all is refused now, or
 * WEIR_REASON_NONE. */
void twin_weir_apply(struct twin_weir *twin, const uint8_t *data, size_t size, bool final,
    uint8_t refusal, struct twin_weir_answer *answer);
/* The oldest deferred definition comes back: what can be defined is. */
void twin_weir_complete(struct twin_weir *twin);
/* False where the channel is unknown. */
bool twin_weir_channel(const struct twin_weir *twin, uint64_t sender, uint16_t channel,
    struct twin_weir_state *out);

/* The checksum field's value for a packet of these bytes. */
uint32_t twin_weir_checksum(const uint8_t *data, size_t size);

#endif
