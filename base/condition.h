/* condition: a trouble that lasts. Its owner reports when it begins, at most once a minute that it
 * goes on, and when it is over: after a minute without it.
 *
 *   none --met: BEGINS--> lasts --met, a minute after the last report: LASTS--> lasts
 *     ^                     |
 *     +-----look: ENDS------+
 *
 * Threads: its owner's
 * Memory:  the struct, zeroed
 */
#ifndef WEIR_BASE_CONDITION_H
#define WEIR_BASE_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#define WEIR_CONDITION_NS INT64_C(60000000000)

enum weir_condition_news {
    WEIR_CONDITION_NOTHING,
    WEIR_CONDITION_BEGINS,
    WEIR_CONDITION_LASTS,
    WEIR_CONDITION_ENDS
};

struct weir_condition {
    bool lasts;
    uint64_t count;   /* of this condition, or of the one just ended */
    int64_t begun_ns; /* monotonic, as the next two */
    int64_t met_ns;   /* the last time */
    int64_t reported_ns;
};

/* It happened again, so many times. Returns what to report: NOTHING, BEGINS or LASTS. */
enum weir_condition_news weir_condition_met(
    struct weir_condition *condition, uint64_t count, int64_t now_ns);
/* Time passes: NOTHING or ENDS. */
enum weir_condition_news weir_condition_look(struct weir_condition *condition, int64_t now_ns);

#endif
