/* Everything of ours that reads bytes of an HTTP client: parameters, selectors, times, durations;
 * and the JSON that answers are made of. The first byte chooses. */
#include "controlplane/params.h"
#include "controlplane/selector.h"
#include "controlplane/text.h"
#include "controlplane/time_text.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_params(const char *bytes, size_t size)
{
    struct weir_params params;
    if (weir_params_init(&params, bytes, size) != WEIR_OK)
        return;
    size_t total = 0;
    for (size_t i = 0; i < params.count; i++)
        total += strlen(params.items[i].name) + params.items[i].value_size;
    WEIR_ASSERT(total <= size);
    weir_params_fini(&params);
}

static void
try_selector(const char *bytes, size_t size)
{
    struct weir_selector selector;
    if (weir_selector_init(&selector, bytes, size) != WEIR_OK)
        return;
    WEIR_ASSERT(selector.count > 0);
    size_t total = 0;
    for (size_t i = 0; i < selector.count; i++)
        total += selector.matches[i].value_size;
    WEIR_ASSERT(total <= size);
    weir_selector_fini(&selector);
}

/* A time that was read, printed as seconds, reads back to the same. */
static void
try_times(const char *bytes, size_t size)
{
    char *text = malloc(size + 1);
    WEIR_ASSERT(text != NULL);
    memcpy(text, bytes, size);
    text[size] = '\0';
    const int64_t now_ms = INT64_C(1700000000123);
    int64_t ms, again;
    if (weir_time_parse(text, now_ms, &ms) == WEIR_OK) {
        struct weir_text printed;
        weir_text_init(&printed, 100);
        weir_json_seconds(&printed, ms, true);
        weir_text_append(&printed, "", 1);
        WEIR_ASSERT(weir_time_parse(printed.data, 0, &again) == WEIR_OK && again == ms);
        weir_text_fini(&printed);
    }
    if (weir_duration_parse(text, &ms) == WEIR_OK)
        WEIR_ASSERT(ms > 0 && ms <= WEIR_DURATION_MAX_MS);
    free(text);
}

static void
try_json(const char *bytes, size_t size)
{
    struct weir_text text;
    weir_text_init(&text, 8 * size + 2);
    weir_json_string(&text, bytes, size);
    WEIR_ASSERT(!text.full && text.size >= 2);
    weir_text_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *, size_t) = {try_params, try_selector, try_times,
        try_json};
    if (size > 0)
        tries[data[0] % 4]((const char *)data + 1, size - 1);
    return 0;
}
