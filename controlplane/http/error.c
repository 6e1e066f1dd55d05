#include "controlplane/http/error.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *text;
    int status;
} kinds[] = {
#define WEIR_ERROR_KIND(name, text, status) {text, status},
    WEIR_ERROR_KINDS(WEIR_ERROR_KIND)
#undef WEIR_ERROR_KIND
};

int
weir_error_status(enum weir_error_kind kind)
{
    return kinds[kind].status;
}

static enum weir_error_kind
kind_of(int status)
{
    switch (status) {
    case WEIR_STATUS_LIMIT:
        return WEIR_ERROR_EXECUTION;
    case WEIR_STATUS_CANCELED:
        return WEIR_ERROR_CANCELED;
    case WEIR_STATUS_NOT_FOUND:
        return WEIR_ERROR_NOT_FOUND;
    case WEIR_STATUS_NOT_ACCEPTABLE:
        return WEIR_ERROR_NOT_ACCEPTABLE;
    case WEIR_STATUS_INTERNAL:
        return WEIR_ERROR_INTERNAL;
    case WEIR_STATUS_UNAVAILABLE:
        return WEIR_ERROR_UNAVAILABLE;
    default:
        return WEIR_ERROR_BAD_DATA;
    }
}

static void
close_error(struct weir_text *text)
{
    weir_text_puts(text, "}\n");
    if (text->full) /* no half an error: its status says enough */
        weir_text_clear(text);
}

void
weir_error_write_kind(
    struct weir_text *text, enum weir_error_kind kind, const char *message, const char *hint)
{
    weir_text_format(
        text, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", kinds[kind].text);
    weir_json_string(text, message, strlen(message));
    if (hint != NULL) {
        weir_text_puts(text, ",\"hint\":");
        weir_json_string(text, hint, strlen(hint));
    }
    close_error(text);
}

void
weir_error_write(struct weir_text *text, bool prometheus, int status, const char *message,
    const char *setting, uint64_t value)
{
    if (prometheus) {
        weir_error_write_kind(text, kind_of(status), message, NULL);
        return;
    }
    weir_text_puts(text, "{\"error\":");
    weir_json_string(text, message, strlen(message));
    if (setting != NULL)
        weir_text_format(text, ",\"setting\":\"%s\",\"limit\":%" PRIu64, setting, value);
    close_error(text);
}
