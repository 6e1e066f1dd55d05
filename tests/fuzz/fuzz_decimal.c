#include "tests/fuzz/twin_decimal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!twin_decimal_agrees(data, size))
        abort();
    return 0;
}
