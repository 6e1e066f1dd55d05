#include "controlplane/query/call.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_SIZE 1024
#define POINT_BYTES 64 /* [-62167219200.000,-2.2250738585072014e-308], is 45 */
#define LABELS_BYTES (UINT64_C(32) << 20)

size_t
weir_call_answer_max(const struct weir_limits *limits)
{
    uint64_t points = limits->points_max;
    uint64_t bytes = points > (SIZE_MAX - LABELS_BYTES) / POINT_BYTES
        ? SIZE_MAX : LABELS_BYTES + points * POINT_BYTES;
    return limits->answer_max != 0 && limits->answer_max < bytes ? limits->answer_max : bytes;
}

static void
put_error(struct weir_call *call, int status, const char *message, const char *setting,
    uint64_t value)
{
    weir_text_clear(&call->answer);
    call->status = status;
    weir_error_write(&call->answer, call->prometheus, status, message, setting, value);
}

void
weir_call_fail(struct weir_call *call, int status, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    put_error(call, status, message, NULL, 0);
}

void
weir_call_fail_kind(
    struct weir_call *call, enum weir_error_kind kind, const char *message, const char *hint)
{
    weir_text_clear(&call->answer);
    call->status = weir_error_status(kind);
    call->timed_out = kind == WEIR_ERROR_TIMEOUT;
    weir_error_write_kind(&call->answer, kind, message, hint);
}

void
weir_call_limit(struct weir_call *call, const char *setting, uint64_t value, const char *format,
    ...)
{
    char message[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof message)
        snprintf(message + used, sizeof message - (size_t)used,
            "; the limit is %s = %" PRIu64, setting, value);
    put_error(call, WEIR_STATUS_LIMIT, message, setting, value);
}

void
weir_call_hint(struct weir_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call->hint, sizeof call->hint, format, args);
    va_end(args);
}

void
weir_call_write_warnings(struct weir_call *call, const char *own)
{
    const char *const warnings[] = {call->warning, call->hint, own != NULL ? own : ""};
    bool any = false;
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++) {
        if (warnings[i][0] == '\0')
            continue;
        weir_text_puts(&call->answer, any ? "," : ",\"warnings\":[");
        weir_json_string(&call->answer, warnings[i], strlen(warnings[i]));
        any = true;
    }
    weir_text_puts(&call->answer, any ? "]" : "");
}

void
weir_call_fail_err(struct weir_call *call, enum weir_err err)
{
    switch (err) {
    case WEIR_INVALID:
    case WEIR_UNSUPPORTED:
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "%s", weir_err_detail());
        break;
    case WEIR_LIMIT:
        weir_call_fail(call, WEIR_STATUS_LIMIT, "%s", weir_err_detail());
        break;
    case WEIR_NOMEM:
        weir_call_fail(call, WEIR_STATUS_UNAVAILABLE, "not enough memory for this query: %s",
            weir_err_detail());
        break;
    default:
        weir_call_fail(call, WEIR_STATUS_INTERNAL, "%s: %s", weir_err_text(err),
            weir_err_detail());
        break;
    }
}

void
weir_call_full(struct weir_call *call, const char *remedy)
{
    if (call->answer.no_memory)
        weir_call_fail_err(call, weir_fail(WEIR_NOMEM, 0, "answer of more than %zu bytes",
            call->answer.size));
    else if (call->answer.size_max == call->limits->answer_max)
        weir_call_limit(call, "http.answers_max", call->limits->answer_max,
            "the answer grew too large: %s", remedy);
    else
        weir_call_limit(call, "query.points_max", call->limits->points_max,
            "the answer grew too large: %s", remedy);
}

enum weir_err
weir_call_check_silently(void *context)
{
    const struct weir_call *call = context;
    if (atomic_load_explicit(call->cancelled, memory_order_relaxed))
        return WEIR_END;
    return weir_mono_ns() < call->deadline_ns ? WEIR_OK : WEIR_LIMIT;
}

enum weir_err
weir_call_check(void *context)
{
    struct weir_call *call = context;
    enum weir_err err = weir_call_check_silently(call);
    if (err != WEIR_LIMIT)
        return err;
    char message[MESSAGE_SIZE];
    snprintf(message, sizeof message, "the query took too long: ask for a shorter range or fewer "
        "series; the limit is query.timeout = %" PRIu32 "ms", call->limits->timeout_ms);
    if (call->prometheus)
        weir_call_fail_kind(call, WEIR_ERROR_TIMEOUT, message, NULL);
    else
        put_error(call, WEIR_STATUS_LIMIT, message, "query.timeout", call->limits->timeout_ms);
    return WEIR_LIMIT;
}

enum weir_err
weir_call_check_cancelled(void *context)
{
    const struct weir_call *call = context;
    return atomic_load_explicit(call->cancelled, memory_order_relaxed) ? WEIR_END : WEIR_OK;
}

enum weir_err
weir_call_count_sample(struct weir_call *call)
{
    if (++call->samples_read > call->limits->samples_max) {
        weir_call_limit(call, "query.samples_max", call->limits->samples_max,
            "the query reads too many samples: ask for a shorter range or fewer series");
        return WEIR_LIMIT;
    }
    return call->samples_read % WEIR_CALL_CHECK_INTERVAL == 0 ? weir_call_check(call) : WEIR_OK;
}
