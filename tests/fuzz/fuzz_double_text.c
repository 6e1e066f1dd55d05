/* Every eight bytes are a double; each form of its text against the slow twin. */
#include "base/double_text.h"
#include "tests/fuzz/twin_double_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at + sizeof(double) <= size; at += sizeof(double)) {
        double value;
        memcpy(&value, data + at, sizeof value);
        for (int form = WEIR_DOUBLE_PLAIN; isfinite(value) && form <= WEIR_DOUBLE_C; form++) {
            char text[WEIR_DOUBLE_PLAIN_MAX + 1];
            text[weir_double_text(value, (enum weir_double_form)form, text)] = '\0';
            if (!twin_double_text_agrees(value, text))
                abort();
        }
    }
    return 0;
}
