/* replay: hands definitions over in the order of their numbers, without gap.
 *
 * A number whose definition is lost to damage is handed over as the series
 * {__name__="weir_lost_definition", number="N"}: its samples stay readable by that name.
 *
 * Threads: its owner's; no memory of its own
 * Errors:  of the function it hands over to; WEIR_CORRUPT where too many are lost at once; damaged
 *          lists are reported and counted as lost
 */
#ifndef WEIR_STORAGE_LOG_REPLAY_H
#define WEIR_STORAGE_LOG_REPLAY_H

#include "storage/frame/frame.h"
#include "storage/log/segment_reader.h"

/* Called for every definition, in the order of their numbers. */
typedef enum weir_err weir_log_define_fn(void *context, uint64_t number, const uint8_t *labels,
    size_t size);
/* Called for the state entries (model/sender_state/state.h) of every frame that has any, in log
 * order, after the definitions of that frame. */
typedef void weir_log_state_fn(void *context, const uint8_t *sender_state, size_t size);

/* The owner fills the first four. */
struct weir_replay {
    weir_log_define_fn *define; /* NULL: numbers are only counted */
    void *define_context;
    weir_log_state_fn *sender_state; /* NULL: state entries are passed over */
    void *sender_state_context;
    uint64_t through; /* numbers below it were handed over */
    uint64_t defined; /* of those by their own labels */
    uint64_t lost;    /* by the name that says so, given here or before it was trimmed */
};

/* Numbers below `until` that have not been handed over are lost. */
enum weir_err weir_replay_lost(struct weir_replay *replay, uint64_t until) WEIR_MUST_USE;
/* `count` definitions from number `first` on, of a list that has checked out. Those known already
 * are passed over, those missing before it are lost. */
enum weir_err weir_replay_list(struct weir_replay *replay, uint64_t first, uint32_t count,
    const uint8_t *list, size_t size) WEIR_MUST_USE;
/* Definitions and state entries of a frame whose header has been checked; no more of it is read
 * than its front. */
enum weir_err weir_replay_frame(struct weir_replay *replay,
    struct weir_segment_reader *reader, const struct weir_frame_header *header) WEIR_MUST_USE;

#endif
