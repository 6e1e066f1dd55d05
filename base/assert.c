#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
weir_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "level=fatal event=assert_failed where=%s:%d condition=\"%s\"\n", file, line,
        condition);
    abort();
}
