/* selection: the series that match[], start and end of a request choose.
 *
 * Owns:    one heap block
 * Threads: one query thread
 * Errors:  false, and the call carries the error
 */
#ifndef WEIR_CONTROLPLANE_API_SELECTION_H
#define WEIR_CONTROLPLANE_API_SELECTION_H

#include "controlplane/query/call.h"

struct weir_selection {
    bool all;          /* there is no match[], and no time */
    bool any_match;    /* there is a match[] */
    uint64_t *numbers; /* ascending, unique; NULL where all */
    size_t count;
};

/* The union of the selectors, or all series; of these those with a sample in [start, end], if
 * either is given. Finding that out reads their samples of that time, until each has one. */
bool weir_selection_init(struct weir_call *call, struct weir_selection *selection);
/* After a failed init as well. */
void weir_selection_fini(struct weir_selection *selection);

static inline uint64_t
weir_selection_number(const struct weir_selection *selection, size_t i)
{
    return selection->all ? i : selection->numbers[i];
}

#endif
