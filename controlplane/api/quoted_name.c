#include "controlplane/api/quoted_name.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HEX_MAX 6

static bool
is_plain(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == ':';
}

static bool
is_name_byte(char c)
{
    return is_plain(c) || c == '.' || c == '-' || c == '/';
}

bool
weir_quoted_name_hint(
    const char *text, size_t size, size_t at, char out[WEIR_QUOTED_NAME_HINT_MAX])
{
    size_t begin = at < size ? at : size, end = begin;
    while (begin > 0 && is_name_byte(text[begin - 1]))
        begin--;
    while (end < size && is_name_byte(text[end]))
        end++;
    while (end > begin && !is_plain(text[end - 1]))
        end--;
    size_t plain = begin;
    while (plain < end && is_plain(text[plain]))
        plain++;
    if (plain == end || isdigit((unsigned char)text[begin]) ||
        end - begin > WEIR_QUOTED_NAME_HINT_MAX / 2)
        return false;
    snprintf(out, WEIR_QUOTED_NAME_HINT_MAX,
        "a name with other characters than letters, digits, _ and : is quoted: {\"%.*s\"}",
        (int)(end - begin), text + begin);
    return true;
}

/* A character as UTF-8 (RFC 3629). Returns its length; 0 for none. */
static size_t
put_utf8(uint32_t code, char *out)
{
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf0 << (4 - size) & 0xff) | code);
    return size;
}

/* The character of _HEX_ after its first underscore; *at moves past it. 0: there is none. */
static uint32_t
read_code(const char **at)
{
    uint32_t code = 0;
    int digits = 0;
    for (; isxdigit((unsigned char)**at) && digits <= HEX_MAX; (*at)++, digits++)
        code = code * 16 + (uint32_t)(isdigit((unsigned char)**at)
                                   ? **at - '0' : tolower((unsigned char)**at) - 'a' + 10);
    if (digits == 0 || digits > HEX_MAX || **at != '_')
        return 0;
    (*at)++;
    return code;
}

bool
weir_quoted_name_unescape(const char *name, char *out)
{
    const char *at = name + 3;
    if (strncmp(name, "U__", 3) != 0)
        return false;
    while (*at != '\0') {
        if (*at != '_') {
            *out++ = *at++;
            continue;
        }
        at++;
        if (*at == '_') {
            *out++ = *at++;
            continue;
        }
        size_t size = put_utf8(read_code(&at), out);
        if (size == 0)
            return false;
        out += size;
    }
    *out = '\0';
    return true;
}
