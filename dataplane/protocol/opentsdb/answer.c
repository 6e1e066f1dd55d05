/* The answer to the sender of a line: the answer to a command, or why a line was refused. */
#include "dataplane/protocol/opentsdb/line.h"
#include "dataplane/protocol/opentsdb/opentsdb.h"

#include <stdio.h>

static const char *const commands[] = {
    [OPENTSDB_VERSION] = "weir " WEIR_VERSION ", OpenTSDB telnet protocol\n",
    [OPENTSDB_STATS] = "stats: /metrics of the HTTP API has them\n",
    [OPENTSDB_HELP] = "available commands: put stats version help exit\n",
    [OPENTSDB_EXIT] = "",
};

/* Appends text and a newline; a text that is too long is cut, and ends with three dots. */
static size_t
put_text(uint8_t *out, size_t used, const uint8_t *text, size_t size)
{
    size_t room = WEIR_ANSWER_MAX - used - 1;
    bool cut = size > room;
    size = cut ? room - 3 : size;
    memcpy(out + used, text, size);
    used += size;
    if (cut) {
        memcpy(out + used, "...", 3);
        used += 3;
    }
    out[used++] = '\n';
    return used;
}

size_t
weir_opentsdb_answer(const struct weir_record *record, uint8_t reason,
    uint8_t out[WEIR_ANSWER_MAX])
{
    size_t at = 0;
    if (reason == WEIR_REASON_NONE) {
        size_t size = strlen(commands[record->command]);
        memcpy(out, commands[record->command], size);
        return size;
    }
    struct opentsdb_word word = weir_opentsdb_word(record->text, record->size, &at);
    if (reason == WEIR_REASON_bad_line && !weir_opentsdb_is_put(record->text, record->size)) {
        int used = snprintf((char *)out, WEIR_ANSWER_MAX, "unknown command: ");
        return put_text(out, (size_t)used, word.data, word.size);
    }
    int used =
        snprintf((char *)out, WEIR_ANSWER_MAX, "put: %s: ", weir_reason_names[reason]);
    return put_text(out, (size_t)used, record->text, record->size);
}
