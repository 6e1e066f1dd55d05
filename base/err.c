#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_SIZE 512

static _Thread_local struct {
    int errnum;
    char text[DETAIL_SIZE];
} detail;

enum weir_err
weir_fail(enum weir_err err, int errnum, const char *format, ...)
{
    char text[DETAIL_SIZE]; /* the arguments may hold the last detail */
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(detail.text, text, used < 0 ? 0 : strlen(text) + 1);
    if (used < 0)
        detail.text[0] = '\0';
    size_t at = strlen(detail.text);
    detail.errnum = errnum;
    if (errnum != 0 && at + 2 < sizeof detail.text) {
        char reason[128];
        snprintf(detail.text + at, sizeof detail.text - at, ": %s",
            strerror_r(errnum, reason, sizeof reason));
    } else if (err == WEIR_NOMEM && strstr(detail.text, "memory") == NULL) {
        snprintf(detail.text + at, sizeof detail.text - at, ": %s", weir_err_text(err));
    }
    return err;
}

const char *
weir_err_detail(void)
{
    return detail.text;
}

int
weir_err_errno(void)
{
    return detail.errnum;
}

enum weir_err
weir_err_prefix(enum weir_err err, const char *prefix)
{
    char text[DETAIL_SIZE];
    if ((size_t)snprintf(text, sizeof text, "%s: %s", prefix, detail.text) < sizeof text)
        memcpy(detail.text, text, sizeof text);
    return err;
}

enum weir_err
weir_err_of_errno(int errnum)
{
    if (errnum == ENOSPC || errnum == EDQUOT)
        return WEIR_FULL;
    if (errnum == ENOENT)
        return WEIR_NOT_FOUND;
    if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM)
        return WEIR_NOMEM;
    return WEIR_IO;
}

const char *
weir_err_text(enum weir_err err)
{
    static const char *const texts[] = {
#define X(name, text) [WEIR_##name] = text,
        WEIR_ERR_LIST(X)
#undef X
    };
    if ((size_t)err >= sizeof texts / sizeof texts[0])
        return "unknown";
    return texts[err];
}
