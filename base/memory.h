/* memory: large zeroed regions taken at start.
 *
 * Threads: any
 * Memory:  pages come when first touched; transparent huge pages are asked for, and explicit ones
 *          used where huge is set and enough of them are free
 */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include "base/err.h"

#include <stdbool.h>

/* Maps bytes of zeroed memory, aligned to a page, from 2 MiB on to a huge page. *huge says on
 * return whether explicit huge pages were had. WEIR_NOMEM. */
enum weir_err weir_memory_map(size_t bytes, bool *huge, void **out) WEIR_MUST_USE;
/* Takes all pages of a region now. False where the kernel cannot; they come when touched then. */
bool weir_memory_populate(void *memory, size_t bytes);
void weir_memory_unmap(void *memory, size_t bytes);

#endif
