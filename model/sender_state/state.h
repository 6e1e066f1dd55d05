/* state: what the log remembers of senders of the weir protocol, beside samples.
 *
 * Format:  docs/format/sender_state.md
 * Threads: any; no state
 * Errors:  WEIR_CORRUPT for bytes that do not check out; WEIR_UNSUPPORTED a type of a later program
 *
 * A list of entries, each a multiple of 8 bytes:
 *
 *   forgotten: | head, 32 bytes |
 *   sequence: | head, 32 bytes | bitmap of the window, 128 bytes, only where it has holes |
 *   template: | head, 32 bytes | ranges of series numbers, 8 bytes each |
 */
#ifndef WEIR_MODEL_SENDER_STATE_STATE_H
#define WEIR_MODEL_SENDER_STATE_STATE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of state entries a batch can carry: at most WEIR_STATE_ENTRY_BYTES_MAX for each of 12,902
 * channels, and 32 for each of 1,024 that made room. */
#define WEIR_BATCH_STATE_BYTES_MAX (2u << 20)
#define WEIR_STATE_WINDOW_BYTES 128
#define WEIR_STATE_ENTRY_BYTES_MAX (sizeof(struct weir_state_entry) + WEIR_STATE_WINDOW_BYTES)
/* Of a template in a batch: many of them fit a piece of a frame (docs/format/frame.md). */
#define WEIR_STATE_TEMPLATE_BYTES_MAX 8192u

/* Limits of a replay of state entries: templates a channel, series a template, and the newest
 * entries of forgotten channels. */
#define WEIR_STATE_TEMPLATES_MAX 64
#define WEIR_STATE_TEMPLATE_SERIES_MAX 16384
#define WEIR_STATE_FORGOTTEN_MAX 4096

/* Bits of template_hash, which nothing else has a use for there. In a sequence: no sample of the
 * channel was accepted so far. In an entry of a forgotten channel: whatever was said of it is to be
 * forgotten too, and it is not remembered. */
#define WEIR_STATE_UNDELIVERED 1u
#define WEIR_STATE_ERASED 1u

enum weir_state_type { WEIR_STATE_SEQUENCE = 1, WEIR_STATE_TEMPLATE = 2, WEIR_STATE_FORGOTTEN = 3 };

struct weir_state_entry {
    uint16_t type;  /* enum weir_state_type */
    uint16_t channel;
    uint32_t bytes; /* of the entry with this head */
    uint64_t sender;
    uint32_t epoch;         /* of the sender */
    uint32_t template_hash; /* of a template; else bits of above */
    uint64_t sequence;      /* highest number met; of the defining packet, for a template */
};
_Static_assert(sizeof(struct weir_state_entry) == 32, "the head's size is part of the format");

/* First word of a template's body. */
struct weir_state_template {
    uint16_t id;
    uint16_t total; /* series of the template */
    uint16_t first; /* index of the first series of this entry */
    uint16_t count; /* series of this entry */
};
_Static_assert(sizeof(struct weir_state_template) == 8, "a word");

/* A range of series numbers that ascend by one. */
struct weir_state_range {
    uint64_t number : 40;
    uint64_t count : 24;
};
_Static_assert(sizeof(struct weir_state_range) == 8, "a word");

/* Reads the entry at *at and moves *at past it. WEIR_END at size. list is aligned to 8 bytes; the
 * entry's sizes fit its type. */
enum weir_err weir_state_next(const uint8_t *list, size_t size, size_t *at,
    const struct weir_state_entry **entry) WEIR_MUST_USE;

/* WEIR_UNSUPPORTED where the list has an entry of a later program, else WEIR_OK: entries before
 * damage count (docs/format/sender_state.md). */
enum weir_err weir_state_check(const uint8_t *list, size_t size) WEIR_MUST_USE;

#endif
