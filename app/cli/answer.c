#include "app/cli/answer.h"

#include <stdbool.h>
#include <stdlib.h>

static bool memory_failed;

static void *
allocate(size_t size)
{
    void *memory = malloc(size);
    memory_failed |= memory == NULL;
    return memory;
}

enum weir_err
weir_answer_read(const char *body, size_t size, json_t **out)
{
    json_error_t error;
    memory_failed = false;
    /* the library names a syntax error where memory was short */
    json_set_alloc_funcs(allocate, free);
    *out = json_loadb(body, size, JSON_ALLOW_NUL, &error);
    json_set_alloc_funcs(malloc, free);
    if (*out != NULL)
        return WEIR_OK;
    return memory_failed ? weir_fail(WEIR_NOMEM, 0, "answer of %zu bytes", size)
                         : weir_fail(WEIR_IO, 0, "the answer is no JSON: %s", error.text);
}
