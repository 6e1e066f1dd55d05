/* options: --name value, --name=value, flags and plain words of the smaller commands.
 *
 * Threads: the main thread
 * Errors:  WEIR_INVALID; the detail names the option
 */
#ifndef WEIR_APP_CLI_OPTIONS_H
#define WEIR_APP_CLI_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct weir_option {
    const char *name;     /* without the dashes */
    const char **text;    /* where the value goes; NULL for a flag or a number */
    bool *flag;           /* set where the option is there; one with nothing else takes no value */
    uint64_t *number;     /* a whole number from 0 on */
};

/* Fills the variables of options. Words that are no options go to words, up to *word_count, which
 * becomes their count. options ends with a NULL name. */
enum weir_err weir_options_parse(const struct weir_option *options, int argc, char **argv,
    const char **words, int *word_count) WEIR_MUST_USE;

#endif
