#include "controlplane/http/params.h"

#include <stdlib.h>
#include <string.h>

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum weir_err
weir_percent_decode(const char *text, size_t size, int form, char *out, size_t *out_size)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        char byte = text[i];
        if (byte == '%') {
            int high = i + 1 < size ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return weir_fail(WEIR_INVALID, 0, "%% in the URL without two hex digits after it");
            byte = (char)(high * 16 + low);
            i += 2;
        } else if (byte == '+' && form) {
            byte = ' ';
        }
        out[used++] = byte;
    }
    out[used] = '\0';
    *out_size = used;
    return WEIR_OK;
}

/* Decodes name=value of size bytes to *to and moves it past the end. */
static enum weir_err
decode_pair(struct weir_params *params, const char *text, size_t size, char **to)
{
    const char *equals = memchr(text, '=', size);
    size_t name_size = equals != NULL ? (size_t)(equals - text) : size;
    size_t value_at = equals != NULL ? name_size + 1 : size;
    if (params->count == WEIR_PARAMS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d parameters", WEIR_PARAMS_MAX);
    struct weir_param *param = &params->items[params->count];
    size_t decoded;
    enum weir_err err = weir_percent_decode(text, name_size, 1, *to, &decoded);
    if (err != WEIR_OK)
        return err;
    if (decoded == 0 || strlen(*to) != decoded)
        return weir_fail(WEIR_INVALID, 0, "a parameter without a name, or a zero byte in its name");
    param->name = *to;
    *to += decoded + 1;
    err = weir_percent_decode(text + value_at, size - value_at, 1, *to, &param->value_size);
    if (err != WEIR_OK)
        return err;
    param->value = *to;
    *to += param->value_size + 1;
    params->count++;
    return WEIR_OK;
}

enum weir_err
weir_params_init(struct weir_params *params, const char *text, size_t size)
{
    params->count = 0;
    /* decoding shrinks; each pair takes two terminators: the place of & and, if it had no =, one
     * byte more */
    params->bytes = malloc(size + WEIR_PARAMS_MAX + 2);
    if (params->bytes == NULL)
        return weir_fail(WEIR_NOMEM, 0, "parameters of %zu bytes", size);
    char *to = params->bytes;
    size_t at = 0;
    while (at < size) {
        const char *and = memchr(text + at, '&', size - at);
        size_t end = and != NULL ? (size_t)(and - text) : size;
        enum weir_err err = WEIR_OK;
        if (end > at) /* an empty pair (a&&b) means nothing */
            err = decode_pair(params, text + at, end - at, &to);
        if (err != WEIR_OK) {
            weir_params_fini(params);
            return err;
        }
        at = end + 1;
    }
    return WEIR_OK;
}

void
weir_params_fini(struct weir_params *params)
{
    free(params->bytes);
    params->bytes = NULL;
    params->count = 0;
}

enum weir_err
weir_params_find(const struct weir_params *params, const char *name,
    const struct weir_param **out)
{
    *out = NULL;
    for (size_t i = 0; i < params->count; i++) {
        const struct weir_param *param = &params->items[i];
        if (strcmp(param->name, name) != 0)
            continue;
        if (*out != NULL)
            return weir_fail(WEIR_INVALID, 0, "parameter %s is given twice", name);
        if (strlen(param->value) != param->value_size)
            return weir_fail(WEIR_INVALID, 0, "zero byte in parameter %s", name);
        *out = param;
    }
    return WEIR_OK;
}
