#include "controlplane/api/param.h"

#include "controlplane/http/time_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_SIZE 512
#define DIGITS_MAX 18

const struct weir_param *
weir_param_find(const struct weir_call *call, const char *name)
{
    for (size_t i = 0; i < call->params->count; i++)
        if (strcmp(call->params->items[i].name, name) == 0)
            return call->params->items[i].value_size > 0 ? &call->params->items[i] : NULL;
    return NULL;
}

void
weir_param_refuse(struct weir_call *call, const char *name, const char *reason)
{
    char message[REASON_SIZE + 64];
    snprintf(message, sizeof message, "invalid parameter \"%s\": %s", name, reason);
    weir_call_fail_kind(call, WEIR_ERROR_BAD_DATA, message, NULL);
}

/* cannot parse "VALUE" to a valid WHAT */
static bool
refuse_value(
    struct weir_call *call, const char *name, const struct weir_param *param, const char *what)
{
    char reason[REASON_SIZE];
    snprintf(reason, sizeof reason, "cannot parse \"%.100s\" to a valid %s",
        param != NULL ? param->value : "", what);
    weir_param_refuse(call, name, reason);
    return false;
}

/* A number and nothing else; strtod alone would take blanks and hex. */
static bool
read_number(const struct weir_param *param, double *out)
{
    char *end;
    if (strspn(param->value, "+-.0123456789eE") != param->value_size)
        return false;
    *out = strtod(param->value, &end);
    return *end == '\0' && end != param->value && isfinite(*out);
}

bool
weir_param_time(struct weir_call *call, const char *name, bool needed, int64_t *out_ms)
{
    const struct weir_param *param = weir_param_find(call, name);
    double seconds;
    if (param == NULL)
        return !needed || refuse_value(call, name, param, "timestamp");
    if (!read_number(param, &seconds)) {
        if (strlen(param->value) == param->value_size &&
            weir_time_parse(param->value, call->now_ms, out_ms) == WEIR_OK)
            return true;
        return refuse_value(call, name, param, "timestamp");
    }
    double ms = round(seconds * 1000);
    if (fabs(ms) > (double)(INT64_MAX / 4)) /* sums of times, ranges and offsets stay in 64 bits */
        return refuse_value(call, name, param, "timestamp");
    *out_ms = (int64_t)ms;
    return true;
}

static bool
read_duration(const struct weir_param *param, int64_t *out_ms)
{
    double seconds;
    if (read_number(param, &seconds)) {
        *out_ms = (int64_t)(seconds * 1000);
        return fabs(seconds) <= WEIR_DURATION_MAX_MS; /* a thousand years */
    }
    return strlen(param->value) == param->value_size &&
        weir_duration_parse(param->value, out_ms) == WEIR_OK;
}

bool
weir_param_duration(struct weir_call *call, const char *name, bool needed, int64_t *out_ms)
{
    const struct weir_param *param = weir_param_find(call, name);
    if (param == NULL)
        return !needed || refuse_value(call, name, param, "duration");
    return read_duration(param, out_ms) || refuse_value(call, name, param, "duration");
}

bool
weir_param_limit(struct weir_call *call, uint64_t *out)
{
    const struct weir_param *param = weir_param_find(call, "limit");
    *out = 0;
    if (param == NULL)
        return true;
    if (param->value_size > DIGITS_MAX ||
        strspn(param->value, "0123456789") != param->value_size) {
        weir_param_refuse(call, "limit",
            param->value[0] == '-' ? "limit must be non-negative"
                                   : "limit must be a whole number; 0 is no limit");
        return false;
    }
    *out = strtoull(param->value, NULL, 10);
    return true;
}
