/* A query parses or is refused with an error inside of its text; what prints parses again and
 * prints the same, and so does its pretty form. The same bytes are read as a series with values. */
#include "controlplane/promql/parse/series.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
    if (!condition)
        abort();
}

static void
check_errors(const struct weir_promql_parsed *parsed, size_t size)
{
    uint32_t count = 0;
    for (const struct weir_promql_error *error = parsed->errors; error != NULL;
         error = error->next, count++)
        require(error->at.start >= 0 && (size_t)error->at.start <= size && error->at.end >= 0
            && (size_t)error->at.end <= size && error->message[0] != '\0');
    require(count == parsed->error_count);
}

/* Parses text, which must be good, and returns what it prints as. */
static struct weir_promql_text
print_again(struct weir_promql_arena *arena, struct weir_promql_text text)
{
    struct weir_promql_parsed parsed;
    struct weir_promql_text out;
    require(weir_promql_parse(arena, text.data, text.size, &parsed) == WEIR_OK);
    require(weir_promql_print(arena, parsed.root, &out) == WEIR_OK);
    return out;
}

static void
check_series(struct weir_promql_arena *arena, const char *text, size_t size)
{
    struct weir_promql_series series;
    enum weir_err err = weir_promql_parse_series(arena, text, size, &series);
    require((err == WEIR_OK) == (series.error == NULL));
    require(series.error == NULL || (size_t)series.error->at.start <= size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_promql_arena arena;
    struct weir_promql_parsed parsed;
    struct weir_promql_text printed, pretty;
    weir_promql_arena_init(&arena, 4 * (size_t)WEIR_PROMQL_ARENA_MAX);
    enum weir_err err = weir_promql_parse(&arena, (const char *)data, size, &parsed);
    require((err == WEIR_OK) == (parsed.root != NULL));
    require((err == WEIR_OK) == (parsed.error_count == 0));
    check_errors(&parsed, size);
    if (err == WEIR_OK) {
        require(weir_promql_print(&arena, parsed.root, &printed) == WEIR_OK);
        require(weir_promql_text_equal(print_again(&arena, printed), printed));
        require(weir_promql_pretty(&arena, parsed.root, 10, &pretty) == WEIR_OK);
        /* indentation may make it longer than a query can be */
        if (pretty.size <= WEIR_PROMQL_TEXT_MAX)
            require(weir_promql_text_equal(print_again(&arena, pretty), printed));
    }
    check_series(&arena, (const char *)data, size);
    weir_promql_arena_fini(&arena);
    return 0;
}
