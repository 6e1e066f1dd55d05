/* twin_state: folded state entries against their slow, obvious twin, a replay of all of them.
 *
 * Errors:  what does not hold is printed and ends the process
 */
#ifndef WEIR_TESTS_FUZZ_TWIN_STATE_H
#define WEIR_TESTS_FUZZ_TWIN_STATE_H

#include "dataplane/protocol/weir/channels/channels.h"

/* What state entries are drawn from: bytes, then zeros; without bytes random numbers. */
struct twin_state_source {
    const uint8_t *data;
    size_t size;
    uint64_t random; /* not 0 */
};

/* Draws lists of state entries about so many senders of two channels each, contradictions and
 * damage among them. Replays them into one table and what they fold to into another, and compares
 * these field for field, now and after more channels are forgotten; compares what the whole folds
 * to, byte for byte, with what its first part, folded, and the rest fold to. */
void twin_state_compare(struct twin_state_source *source, uint64_t senders, uint64_t lists);

/* An empty table, as these are. */
struct weir_channels *twin_state_channels_new(void);
void twin_state_channels_free(struct weir_channels *senders);

#endif
