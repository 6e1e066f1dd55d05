/* aliases: further numbers of a series. A definition that damage hid for a while, and that its
 * sender gave anew meanwhile, is there twice: both numbers answer as one series, the first.
 *
 * Threads: its owner's
 * Memory:  8 bytes a slot, 4/3 to 8/3 slots a series; 8 bytes an alias
 * Errors:  WEIR_NOMEM, of reserve alone
 */
#ifndef WEIR_STORAGE_READ_ALIASES_H
#define WEIR_STORAGE_READ_ALIASES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_alias {
    uint32_t number;
    uint32_t first; /* the smallest number with the same labels */
};

/* definitions: by number, each u16 size and labels. */
struct weir_aliases {
    uint64_t *slots;     /* high half hash, low half number + 1; 0 is empty */
    uint64_t slot_count; /* power of two, or 0 */
    uint64_t used;
    struct weir_alias *list; /* ascending by number */
    size_t count;
    size_t capacity;
};

void weir_aliases_fini(struct weir_aliases *aliases);
/* Makes room for one more number; nothing else changes. */
enum weir_err weir_aliases_reserve(struct weir_aliases *aliases) WEIR_MUST_USE;
/* Enters the next number, after a reserve. hash: of its labels. */
void weir_aliases_add(struct weir_aliases *aliases, uint8_t *const *definitions, uint32_t number,
    uint32_t hash);
/* Is it a later number of a series that has an earlier one? */
bool weir_aliases_is_later(const struct weir_aliases *aliases, uint64_t number);

#endif
