/* words: texts that commands print beside a count. */
#ifndef WEIR_APP_CLI_WORDS_H
#define WEIR_APP_CLI_WORDS_H

#include <stdint.h>

/* Turns "line" into "lines" if the count asks for it. */
static inline const char *
weir_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

#endif
