/* State entries drawn from the input, folded, against a replay of all of them. */
#include "tests/fuzz/twin_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct twin_state_source source = {.data = data + 2, .size = size - 2};
    twin_state_compare(&source, 1 + data[0] % 8, 1 + data[1] % 32);
    return 0;
}
