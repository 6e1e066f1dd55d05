#include "controlplane/http/error.h"

#include <inttypes.h>
#include <string.h>

/* errorType of Prometheus's API. */
static const char *
error_type(int status)
{
    switch (status) {
    case WEIR_STATUS_LIMIT:
        return "execution";
    case WEIR_STATUS_NOT_FOUND:
        return "not_found";
    case WEIR_STATUS_INTERNAL:
        return "internal";
    case WEIR_STATUS_UNAVAILABLE:
        return "unavailable";
    default:
        return "bad_data";
    }
}

void
weir_error_write(struct weir_text *text, bool prometheus, int status, const char *message,
    const char *setting, uint64_t value)
{
    if (prometheus)
        weir_text_format(
            text, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", error_type(status));
    else
        weir_text_puts(text, "{\"error\":");
    weir_json_string(text, message, strlen(message));
    if (setting != NULL && !prometheus)
        weir_text_format(text, ",\"setting\":\"%s\",\"limit\":%" PRIu64, setting, value);
    weir_text_puts(text, "}\n");
    if (text->full) /* no half an error: its status says enough */
        weir_text_clear(text);
}
