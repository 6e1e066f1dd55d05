/* keeper: turns the log into parts, unit by unit, and says how far it has come; merges the parts of
 * a partition into fewer, and removes partitions that have passed their age.
 *
 *   log, frame ring --> unit --L1--> parts, durable --> manifest, durable --> keeper offset
 *   parts --join--> one part, durable --> manifest, durable --> the files of the parts go
 *
 * Owns:    DATA/store: manifest, parts
 * Threads: one; every call belongs to it
 * Memory:  taken at open, but for the list of frames that are not merged yet (48 bytes each)
 * Errors:  a unit that fails is tried again with new files, after a pause. Want of room, memory or
 *          descriptors is waited for; after three other failures merging stops until the next open
 *
 *            +--------- room again, or the pause is over ----------+
 *            v                                                     |
 *   IDLE --a unit is due--> MERGING --error--> PAUSED -------------+
 *     ^                       | done             `--third failure--> STOPPED
 *     `-----------------------+
 *
 * Frames come first: parts are merged while no unit of frames is due. In each state the manifest on
 * disk names whole, durable parts, and holds what its keeper offset says. Killed anywhere it costs
 * the unit at hand, which is done again.
 */
#ifndef WEIR_STORAGE_KEEPER_KEEPER_H
#define WEIR_STORAGE_KEEPER_KEEPER_H

#include "base/clock.h"
#include "model/keeper_view.h"
#include "storage/keeper/l1.h"

#define WEIR_KEEPER_FRAMES_MAX 1024 /* of a unit */
#define WEIR_KEEPER_AGE_MS 64000    /* a frame waits no longer for others */

struct weir_shared;

struct weir_keeper_options {
    const char *log;            /* DATA/log/0 */
    const char *store;          /* DATA/store; made where it is missing */
    const char *aside;          /* DATA/aside, likewise; NULL: damaged blocks are not kept */
    struct weir_shared *shared; /* NULL: a stopped instance */
    struct weir_io *io;         /* borrowed: of the store */
    struct weir_io *log_io;     /* the keeper frees it; NULL: real files */
    const struct weir_clock *clock;
    int64_t (*wall_ms)(void *context); /* since the Unix epoch; NULL: the machine's */
    void *wall_context;
    uint64_t (*random)(void *context); /* for names of files */
    void *random_context;
    struct weir_gather_limits gather;
    struct weir_part_writer_limits writer;
    uint32_t frames_max;  /* of a unit, at most WEIR_KEEPER_FRAMES_MAX */
    int64_t age_max_ms;   /* 0: every frame is due at once */
    int64_t partition_ms; /* of new partitions; divides a day */
    int64_t retention_ms; /* a partition that ended longer ago is removed; 0: none is */
};

struct weir_keeper_status {
    enum weir_keeper_state state;
    uint64_t keeper_offset;
    uint64_t generation; /* of the manifest */
    uint64_t frames_waiting;
    uint64_t units; /* merged since open */
    uint64_t failures;
    uint32_t parts;
};

struct weir_keeper;
/* A manifest that is lost is made anew from the parts (rebuild.h). */
enum weir_err weir_keeper_open(
    const struct weir_keeper_options *options, struct weir_keeper **out) WEIR_MUST_USE;
void weir_keeper_close(struct weir_keeper *keeper);

/* Some milliseconds of work. Returns whether there is more to do now. */
bool weir_keeper_run_once(struct weir_keeper *keeper);
void weir_keeper_status(const struct weir_keeper *keeper, struct weir_keeper_status *out);
/* The manifest on disk. Borrowed until the next call. */
const struct weir_manifest *weir_keeper_manifest(const struct weir_keeper *keeper);

#endif
