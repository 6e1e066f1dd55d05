/* spell: a trouble that lasts, for events that tell when it begins, at most once a minute how it
 * goes on, and when it is over: after a minute without it.
 *
 *   none --met: BEGINS--> lasts --met, a minute behind the last word: LASTS--> lasts
 *     ^                     |
 *     +-----look: ENDS------+
 *
 * Threads: its owner's
 * Memory:  the struct, zeroed
 */
#ifndef WEIR_BASE_SPELL_H
#define WEIR_BASE_SPELL_H

#include <stdbool.h>
#include <stdint.h>

#define WEIR_SPELL_NS INT64_C(60000000000)

enum weir_spell_news { WEIR_SPELL_NOTHING, WEIR_SPELL_BEGINS, WEIR_SPELL_LASTS, WEIR_SPELL_ENDS };

struct weir_spell {
    bool lasts;
    uint64_t count;   /* of this spell, or of the one that has just ended */
    int64_t begun_ns; /* monotonic, as the next two */
    int64_t met_ns;   /* the last time */
    int64_t told_ns;
};

/* It happened again, so many times. Returns what there is to tell: NOTHING, BEGINS or LASTS. */
enum weir_spell_news weir_spell_met(struct weir_spell *spell, uint64_t count, int64_t now_ns);
/* Time passes: NOTHING or ENDS. */
enum weir_spell_news weir_spell_look(struct weir_spell *spell, int64_t now_ns);

#endif
