/* number_ranges: series numbers by index, kept as ranges that ascend by one.
 *
 * Threads: the caller's
 * Memory:  8 bytes a range, from malloc; released by fini
 * Errors:  WEIR_NOMEM; the numbers are then as before
 *
 *   index   0        3     5            total
 *           | 7 8 9  | -- | 40 41 42 .. |       three ranges, the second of unknown numbers
 *
 * Ranges follow each other from index 0 to total and are as long as can be, so the same
 * numbers always make the same ranges.
 */
#ifndef WEIR_BASE_NUMBER_RANGES_H
#define WEIR_BASE_NUMBER_RANGES_H

#include "base/err.h"

#include <stdint.h>

#define WEIR_NUMBER_MAX ((UINT64_C(1) << 40) - 1)

struct weir_number_range {
    uint64_t number : 40; /* at index first; 0 where not known */
    uint64_t first : 16;  /* it ends where the next one begins */
    uint64_t known : 8;
};
_Static_assert(sizeof(struct weir_number_range) == 8, "a word");

struct weir_number_ranges {
    struct weir_number_range *ranges;
    uint16_t count; /* at least 1 */
    uint16_t capacity;
    uint16_t total; /* indexes */
};

/* total indexes, 1 to 32,767, without numbers. */
enum weir_err weir_number_ranges_init(
    struct weir_number_ranges *list, uint16_t total) WEIR_MUST_USE;
void weir_number_ranges_fini(struct weir_number_ranges *list);
/* Gives the count indexes from first on the numbers from `number` on. count is at least 1; indexes
 * are below total, numbers not above WEIR_NUMBER_MAX. */
enum weir_err weir_number_ranges_set(
    struct weir_number_ranges *list, uint16_t first, uint16_t count, uint64_t number) WEIR_MUST_USE;
/* The index after the range's last. */
uint16_t weir_number_ranges_end(const struct weir_number_ranges *list, uint16_t range);

#endif
