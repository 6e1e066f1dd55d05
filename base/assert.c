#include "base/assert.h"

#include "base/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void
weir_assert_failed(const char *condition, const char *file, int line)
{
    char text[512];
    weir_escape_into(WEIR_ESCAPE_LOGFMT, condition, strlen(condition), text, sizeof text);
    fprintf(stderr, "level=fatal event=assert_failed where=%s:%d condition=\"%s\"\n", file, line,
        text);
    abort();
}
