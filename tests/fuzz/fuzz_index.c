/* Series and questions drawn from the input, against a scan over all labels; or a segment whose
 * checksums are right and whose bytes are the input's. Files lie below $TMPDIR, else /dev/shm. */
#include "tests/fuzz/twin_index_craft.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[512];

static void
remove_directory(void)
{
    remove(directory);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (directory[0] == 0) {
        const char *place = getenv("TMPDIR");
        snprintf(directory, sizeof directory, "%s/weir-fuzz-index-XXXXXX",
            place != NULL ? place : "/dev/shm");
        if (mkdtemp(directory) == NULL)
            abort();
        atexit(remove_directory);
    }
    if (size < 1)
        return 0;
    struct twin_index_source source = {.data = data + 1, .size = size - 1};
    if (data[0] % 2 == 0)
        twin_index_compare(&source, directory);
    else
        twin_index_craft(&source, directory);
    return 0;
}
