/* Keeps refused lines: model/rejected.h. */
#include "dataplane/registrar/parts.h"

#include "dataplane/protocol/deferral.h"

#include <stdio.h>
#include <string.h>

struct text {
    uint8_t bytes[WEIR_REJECTED_TEXT_MAX];
    size_t size;
};

static void
put(struct text *text, const void *bytes, size_t size)
{
    size_t room = sizeof text->bytes - text->size;
    size = size < room ? size : room;
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

/* name{label=value,...}, as far as it goes */
static void
put_labels(struct text *text, const uint8_t *labels, size_t size)
{
    struct weir_label label;
    size_t at = 0;
    bool first = true;
    if (weir_labels_find(labels, size, WEIR_NAME_LABEL, &label))
        put(text, label.value, label.value_size);
    put(text, "{", 1);
    while (weir_labels_next(labels, size, &at, &label) == WEIR_OK) {
        if (label.name_size == sizeof WEIR_NAME_LABEL - 1 &&
            memcmp(label.name, WEIR_NAME_LABEL, label.name_size) == 0)
            continue;
        put(text, ",", !first);
        put(text, label.name, label.name_size);
        put(text, "=", 1);
        put(text, label.value, label.value_size);
        first = false;
    }
    put(text, "}", 1);
}

/* The first point with labels of a line that came as a list; NULL where all are of known series. */
static const struct weir_deferred_point *
first_labelled(const struct weir_registrar_work *work)
{
    const uint8_t *list = work->text;
    uint32_t count = work->line.samples;
    if (work->line.defines > 0) {
        list += WEIR_DEFINITION_LIST_AT;
        count = 1;
    }
    for (; count > 0; count--) {
        const struct weir_deferred_point *point = (const void *)list;
        if (point->labels_size > 0)
            return point;
        list += weir_deferred_point_bytes(0);
    }
    return NULL;
}

void
weir_registrar_line_rejected(struct weir_registrar *registrar)
{
    const struct weir_registrar_work *work = &registrar->work;
    struct text text = {.size = 0};
    char detail[WEIR_REJECTED_DETAIL_MAX] = "";
    bool is_definition = work->line.defines > 0;
    const struct weir_deferred_point *point = work->line.resolved ? first_labelled(work) : NULL;
    weir_rejecter_count(&registrar->rejecter, work->listener, work->reason);
    if (work->line.kept && work->reason == WEIR_REASON_bad_labels) {
        weir_rejecter_unmeet(&registrar->rejecter, work->reason);
        return;
    }
    if (!weir_rejecter_token(&registrar->rejecter, work->reason, registrar->now_ns))
        return;
    struct weir_refusal refusal = {.reason = work->reason,
        .listener = work->listener,
        .peer = &work->peer,
        .position = WEIR_POSITION_UNKNOWN,
        .detail = detail};
    if (work->reason == WEIR_REASON_bad_labels || work->reason == WEIR_REASON_table_full)
        snprintf(detail, sizeof detail, "%s", weir_err_detail());
    if (point != NULL) {
        put_labels(&text, (const uint8_t *)(point + 1), point->labels_size);
        refusal.text = text.bytes;
        refusal.size = text.size;
    } else if (!is_definition && !work->line.resolved) {
        refusal.text = work->text;
        refusal.size = work->line.size;
    } else if (is_definition) {
        snprintf(detail, sizeof detail, "definition of %u series", work->line.defines);
    }
    weir_rejecter_keep(&registrar->rejecter, &refusal, registrar->now_ns);
}
