/* channels: what a worker knows of each channel of each sender of the weir protocol: which numbers
 * it has met, and which series its templates name.
 *
 * Format:  docs/format/wire.md; what of it survives a restart: docs/format/sender_state.md
 * Threads: its worker only; before ingest opens, the recovery of the log
 * Memory:  weir_channels_footprint() bytes from the caller, zeroed; pages come when used
 * Errors:  NULL where a limit is reached; the caller refuses by name
 * Limits:  channels_max channels, of which idle ones make room; WEIR_WIRE_TEMPLATES_MAX templates a
 *          channel; template_bytes for all templates, each as large as its known series need
 *
 *   channel (sender id, channel) -> epoch, highest number, window
 *      |
 *      +-> template (id, hash) -> extents -> series numbers by index, UNKNOWN where not defined
 *
 * A channel that changed is dirty until its state entry has been written into a batch, together
 * with those of its templates that changed, as far as there is room: so what a frame says of
 * numbers and what it holds of samples agree. A change that found no room is owed, in turn, by the
 * batches that follow: many templates keep no channel dirty.
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_CHANNELS_CHANNELS_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_CHANNELS_CHANNELS_H

#include "base/hash.h"
#include "client/wire.h"
#include "dataplane/series/series.h"
#include "model/sender_state/state.h"
#include "model/sample.h"
#include "model/channel_mail.h"
#include "model/channel_view.h"
#include "model/shares.h"

#include <stdbool.h>

/* Channels whose state entries a batch can hold for certain, beside those of channels that made
 * room. */
#define WEIR_CHANNELS_DIRTY_MAX                                                                    \
    ((WEIR_BATCH_STATE_BYTES_MAX - (32u << 10)) / WEIR_STATE_ENTRY_BYTES_MAX)

/* Neighbouring indexes of a template: their numbers, then a bit for each that was learnt since
 * it was last written to a batch. */
struct weir_extent {
    uint16_t first;
    uint16_t count;
    uint32_t block; /* dataplane/protocol/weir/channels/template_blocks.h */
};

#define WEIR_TEMPLATE_EXTENTS_INLINE 2

struct weir_template {
    uint32_t next;  /* block of the channel's next template; 0 none */
    uint16_t id;
    uint16_t total;
    uint32_t hash;
    uint16_t unknown; /* series without number yet, or never defined */
    bool unlogged;  /* numbers were learnt since it was last written to a batch */
    uint64_t sequence; /* of the packet that began this content */
    uint32_t units;    /* of memory, with this head */
    uint32_t source_share, sender_share; /* of model/shares.h, with this weight */
    uint32_t directory; /* block of the extents where they are many; 0: they are here */
    uint16_t extent_count;
    struct weir_extent extents[WEIR_TEMPLATE_EXTENTS_INLINE]; /* in order of first */
};
_Static_assert(sizeof(struct weir_template) == 64, "a unit of memory for templates");

struct weir_channel {
    uint64_t sender;
    uint64_t highest;   /* number met, or named by a heartbeat; 0 none */
    uint32_t epoch;     /* 0: the slot is free */
    uint16_t channel;
    uint16_t template_count;
    uint32_t templates; /* block of the first; 0 none */
    uint32_t pending;   /* definitions, of all its epochs, that the registrar has not answered */
    bool dirty;
    bool listed;        /* among the worst */
    bool delivered;     /* a sample of it was accepted */
    bool logged;        /* the log may speak of it */
    uint32_t last_seen_s; /* monotonic, as internal.h has it */
    uint64_t seen[WEIR_WIRE_WINDOW / 64]; /* bit n % window of the last numbers up to highest */
    uint64_t given_up; /* numbers up to this that have not come are gaps, or were before our time */
    uint64_t gaps;      /* these three since the dataplane started; see weir_channel_view */
    uint32_t duplicates;
    uint32_t reorderings;
};
_Static_assert(sizeof(struct weir_channel) == 192, "a channel is three cache lines");

/* A number that is further away than this, ahead or back, is a new beginning. */
#define WEIR_SEQUENCE_FAR (UINT64_C(1) << 20)
/* The end of a channel's own counts: JSON numbers are exact up to here. */
#define WEIR_CHANNEL_COUNT_MAX (UINT64_C(1) << 53)

/* Verdict on a number. JUMP is NEW, and the numbers begin with it. */
enum weir_sequence { WEIR_SEQUENCE_NEW, WEIR_SEQUENCE_JUMP, WEIR_SEQUENCE_LATE,
    WEIR_SEQUENCE_DUPLICATE, WEIR_SEQUENCE_OLD };

struct weir_channels;

size_t weir_channels_footprint(uint32_t channels_max, uint64_t template_bytes);
struct weir_channels *weir_channels_init(void *memory, uint32_t channels_max,
    uint64_t template_bytes, const struct weir_hash_key *key);

/* The channel, or NULL where it is unknown. */
struct weir_channel *weir_channels_find(struct weir_channels *channels, uint64_t sender,
    uint16_t channel);
/* As above, and makes it with this epoch where it is unknown; one that made room before and is
 * remembered goes on where it was. An idle channel makes room where the table is full: pointers to
 * others are invalid then, *gaps grows by what it was missing. NULL where none is idle. */
struct weir_channel *weir_channels_find_or_add(struct weir_channels *channels, uint64_t sender,
    uint16_t channel, uint32_t epoch, uint64_t *gaps);
/* As above for a packet of a sender: where the table is more than half full, only as long as
 * neither its source nor its id holds the share of it. source: NULL for one that no share bounds.
 * NULL with *reason. */
struct weir_channel *weir_channels_admit(struct weir_channels *channels,
    const struct weir_wire_header *header, const struct weir_owner *source, uint64_t *gaps,
    uint8_t *reason);
/* Forgets the channel's epoch, because it is in the future, also in the log: it begins anew with
 * this one. False where the log has no room for that now. */
bool weir_channel_heal(struct weir_channels *channels, struct weir_channel *channel,
    uint32_t epoch);
/* A newer epoch begins: numbers from 1, no templates. */
void weir_channel_restart(struct weir_channels *channels, struct weir_channel *channel,
    uint32_t epoch);

/* Enters a number; *gaps grows by the numbers that leave the window without having come. */
enum weir_sequence weir_channel_meet(struct weir_channel *channel, uint64_t sequence,
    uint64_t *gaps);
/* A heartbeat: all numbers up to last were used. bye: what has not come will not come. True where
 * the numbers begin anew. */
bool weir_channel_heartbeat(struct weir_channel *channel, uint64_t last, bool bye, uint64_t *gaps);
/* The largest number up to which all have come or were given up. */
uint64_t weir_channel_complete(const struct weir_channel *channel);

/* Fetches the channel's newest template ahead of its use. */
void weir_channel_prefetch(
    const struct weir_channels *channels, const struct weir_channel *channel);
/* The template of this id, or NULL. */
struct weir_template *weir_channel_template(const struct weir_channels *channels,
    const struct weir_channel *channel, uint16_t id);
/* As above with this content, and with room for the numbers of the record's series; a template of
 * other content is replaced where the packet that says so is the newer one. source: whose share
 * the memory counts for, NULL for nobody's; the sender's share counts always. NULL with *reason
 * where a limit is reached (templates_full, over_share); NULL with *reason untouched where the
 * packet is the older one. */
struct weir_template *weir_channel_define(struct weir_channels *channels,
    struct weir_channel *channel, const struct weir_wire_record *record, uint64_t sequence,
    const struct weir_owner *source, uint8_t *reason);
/* The numbers of so many series from first on where they are neighbours, else NULL. */
const uint64_t *weir_template_numbers(const struct weir_channels *channels,
    const struct weir_template *template, uint32_t first, uint32_t count);
/* The number of a series of the template, or WEIR_SERIES_UNKNOWN. */
uint64_t weir_template_number(const struct weir_channels *channels,
    const struct weir_template *template, uint32_t index);
/* Enters a number where none is known yet and weir_channel_define has made room for it. */
void weir_template_enter(struct weir_channels *channels, struct weir_template *template,
    uint32_t index, uint64_t number);
/* Bytes that templates take of those that there are. */
uint64_t weir_templates_used(const struct weir_channels *channels);

/* Its numbers began anew. */
void weir_channels_jumped(struct weir_channels *channels, const struct weir_channel *channel);
/* The channel was heard of, and no more. */
void weir_channels_seen(struct weir_channels *channels, struct weir_channel *channel);
/* Notes a channel as changed since its last state entry. */
void weir_channels_dirty(struct weir_channels *channels, struct weir_channel *channel);
uint32_t weir_channels_dirty_count(const struct weir_channels *channels);
/* Whether a batch has something to say of channels, of those that are no more too. */
bool weir_channels_owe_state(const struct weir_channels *channels);
/* Writes the state entries of all dirty channels into the batch, which has none yet, then changed
 * templates as far as there is room: those that were owed before, then those of the dirty channels.
 * No channel is dirty then; what found no room is owed. */
void weir_channels_write_state(struct weir_channels *channels, struct weir_batch *batch);
/* The time by which channels are seen and idle, in whole seconds. Once a round. */
void weir_channels_now(struct weir_channels *channels, int64_t mono_ns);
/* Once a second: the same, and the view of the worst. Both clocks are read now, the wall first. */
void weir_channels_tick(struct weir_channels *channels, int64_t mono_ns, int64_t wall_ms);
/* Mail with the control plane's questions. */
void weir_channels_serve(struct weir_channels *channels, struct weir_channel_mail *mail);
/* Once a round: a piece of what was asked. True where there was something to do, or is. */
bool weir_channels_work(struct weir_channels *channels, int64_t mono_ns);
/* View that weir_channels_tick publishes into; NULL: none. */
void weir_channels_watch(struct weir_channels *channels, struct weir_channel_view *view);
/* Recovery: takes over one frame's state entries, which checked out. Entries that contradict
 * themselves are passed over. series_count bounds the series numbers believed. */
void weir_channels_restore(struct weir_channels *channels, const uint8_t *sender_state, size_t size,
    uint64_t series_count);

#endif
