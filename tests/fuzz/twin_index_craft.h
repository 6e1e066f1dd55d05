/* twin_index_craft: a segment whose checksums are right and whose bytes are not. */
#ifndef WEIR_TESTS_FUZZ_TWIN_INDEX_CRAFT_H
#define WEIR_TESTS_FUZZ_TWIN_INDEX_CRAFT_H

#include "tests/fuzz/twin_index.h"

/* Changes drawn bytes of a small segment's blocks before they are sealed, opens it below directory,
 * asks everything, and merges it. Any answer will do. */
void twin_index_craft(struct twin_index_source *source, const char *directory);

#endif
