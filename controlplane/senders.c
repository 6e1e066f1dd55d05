#include "controlplane/senders.h"

#include <inttypes.h>
#include <stdlib.h>

static int
compare(uint64_t a, uint64_t b)
{
    return a > b ? -1 : a < b;
}

static int
worst_first(const void *a, const void *b)
{
    const struct weir_senders_row *x = a;
    const struct weir_senders_row *y = b;
    int order = compare(x->gaps, y->gaps);
    if (order == 0)
        order = compare(x->duplicates, y->duplicates);
    if (order == 0)
        order = compare(x->reorderings, y->reorderings);
    return order != 0 ? order : -compare(x->sender, y->sender);
}

enum weir_err
weir_senders_write(struct weir_shared *shared, struct weir_text *text)
{
    struct weir_senders_rows rows;
    if (shared == NULL)
        return weir_fail(WEIR_AGAIN, 0, "the instance is stopped");
    if (!weir_senders_view_published(&shared->senders))
        return weir_fail(WEIR_AGAIN, 0, "not published yet: try again in a second");
    enum weir_err err = weir_senders_view_read(&shared->senders, &rows);
    if (err != WEIR_OK)
        return err;
    if (rows.count > WEIR_SENDERS_ROWS) /* a writer's mistake is not to be this process's */
        return weir_fail(WEIR_AGAIN, 0, "the view of senders is not whole");
    qsort(rows.rows, rows.count, sizeof rows.rows[0], worst_first);
    weir_text_format(text, "{\"channels\":%" PRIu64 ",\"worst\":[", rows.channels);
    for (uint64_t i = 0; i < rows.count; i++) {
        const struct weir_senders_row *row = &rows.rows[i];
        weir_text_format(text, "%s{\"sender\":\"%" PRIu64 "\",\"channel\":%" PRIu64
            ",\"epoch\":%" PRIu64 ",\"highest\":%" PRIu64 ",\"gaps\":%" PRIu64
            ",\"duplicates\":%" PRIu64 ",\"reorderings\":%" PRIu64 ",\"last_seen\":",
            i > 0 ? "," : "", row->sender, row->channel, row->epoch, row->highest, row->gaps,
            row->duplicates, row->reorderings);
        weir_json_seconds(text, row->last_seen_ms, false);
        weir_text_puts(text, "}");
    }
    weir_text_puts(text, "]}\n");
    return WEIR_OK;
}
