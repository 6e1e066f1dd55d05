/* keeper_view: what the keeper has done, in the shared region.
 *
 * Threads: the keeper's main thread writes, everyone reads; the supervisor clears pid when it has
 *          died
 * Memory:  the caller's; zero bytes are a valid view: there is no keeper
 *
 * offset is stored with release after the parts and the manifest that hold what is below it are
 * durable; who trims the log, or reads parts, loads it with acquire. The rest is relaxed: no figure
 * depends on another.
 */
#ifndef WEIR_MODEL_KEEPER_VIEW_H
#define WEIR_MODEL_KEEPER_VIEW_H

#include <stdatomic.h>
#include <stdint.h>

#define WEIR_RETENTION_CLASSES 8

/* Samples of a retention class, ever. merged is the sum of the others. */
struct weir_parts_ledger {
    uint64_t merged;     /* came out of the log */
    uint64_t live;       /* are in parts */
    uint64_t superseded; /* a later sample of the same series and time took their place */
    uint64_t expired;    /* went by age or size */
    uint64_t deleted;
    uint64_t damaged; /* could not be read when they were merged */
};
#define WEIR_PARTS_LEDGER_FIELDS (sizeof(struct weir_parts_ledger) / sizeof(uint64_t))
_Static_assert(sizeof(struct weir_parts_ledger) == 48, "six counters");

enum weir_keeper_state {
    WEIR_KEEPER_IDLE,    /* no unit is due */
    WEIR_KEEPER_MERGING,
    WEIR_KEEPER_PAUSED,  /* the last unit failed: it is tried again */
    WEIR_KEEPER_STOPPED, /* three tries failed, or a manifest could not be written */
    WEIR_KEEPER_STATES,
};

struct weir_keeper_view {
    _Atomic uint32_t pid; /* of a keeper that has opened its store; 0: none */
    _Atomic uint32_t state; /* enum weir_keeper_state */
    _Atomic uint64_t offset;
    _Atomic uint64_t generation; /* of the manifest; with release, before offset */
    _Atomic uint64_t parts;
    _Atomic uint64_t units;    /* merged by this keeper */
    _Atomic uint64_t failures; /* of its units */
    _Atomic uint64_t ledger[WEIR_RETENTION_CLASSES][WEIR_PARTS_LEDGER_FIELDS];
};

#endif
