#include "tests/fuzz/twin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!twin_agrees_somewhere(WEIR_PROTO_OPENTSDB, data, size))
        abort();
    return 0;
}
