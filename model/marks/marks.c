#include "model/marks/marks.h"

static enum weir_err
damaged(size_t at)
{
    return weir_fail(WEIR_CORRUPT, 0, "mark at %zu does not check out", at);
}

enum weir_err
weir_mark_next(const uint8_t *list, size_t size, size_t *at, const struct weir_mark **out)
{
    if (*at == size)
        return WEIR_END;
    if (size - *at < sizeof(struct weir_mark))
        return damaged(*at);
    const struct weir_mark *mark = (const struct weir_mark *)(list + *at);
    if (mark->bytes < sizeof *mark || mark->bytes % 8 != 0 || mark->bytes > size - *at)
        return damaged(*at);
    if (mark->type == WEIR_MARK_SEQUENCE && mark->bytes != sizeof *mark &&
        mark->bytes != WEIR_MARK_BYTES_MAX)
        return damaged(*at);
    if (mark->type == WEIR_MARK_TEMPLATE &&
        mark->bytes < sizeof *mark + sizeof(struct weir_mark_template))
        return damaged(*at);
    if (mark->type == WEIR_MARK_FORGOTTEN && mark->bytes != sizeof *mark)
        return damaged(*at);
    if (mark->type < WEIR_MARK_SEQUENCE || mark->type > WEIR_MARK_FORGOTTEN)
        return weir_fail(WEIR_UNSUPPORTED, 0, "mark of type %u is a later program's", mark->type);
    *at += mark->bytes;
    *out = mark;
    return WEIR_OK;
}

enum weir_err
weir_marks_check(const uint8_t *list, size_t size)
{
    const struct weir_mark *mark;
    size_t at = 0;
    enum weir_err err;
    while ((err = weir_mark_next(list, size, &at, &mark)) == WEIR_OK)
        continue;
    return err == WEIR_UNSUPPORTED ? err : WEIR_OK;
}
