#include "bench/load/digits.h"

#include <string.h>

/* Two digits a step: the division by a constant is a multiplication. */
void
weir_bench_put_digits(uint8_t *end, uint64_t value, unsigned count)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313"
                                "23334353637383940414243444546474849505152535455565758596061626364"
                                "65666768697071727374757677787980818283848586878889909192939495969"
                                "79899";
    for (; count >= 2; count -= 2, value /= 100)
        memcpy(end -= 2, pairs + value % 100 * 2, 2);
    if (count > 0)
        *--end = (uint8_t)('0' + value % 10);
}
