#include "controlplane/http/encoding.h"

#include <ctype.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WEIGHT_ONE 1000
#define PIECE_IN (256u << 10)
#define PIECE_OUT (16u << 10)

void
weir_codings_init(struct weir_codings *codings)
{
    *codings = (struct weir_codings){-1, -1, -1};
}

static const char *
skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static bool
is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* qvalue: 0, 1, or one of them with up to three decimals, at most 1. Returns where it ends, NULL
 * where it is none. */
static const char *
read_weight(const char *at, int *out)
{
    int value = 0;
    if (*at != '0' && *at != '1')
        return NULL;
    value = (*at++ - '0') * WEIGHT_ONE;
    if (*at == '.') {
        at++;
        for (int unit = WEIGHT_ONE / 10; unit > 0 && isdigit((unsigned char)*at); unit /= 10)
            value += (*at++ - '0') * unit;
    }
    *out = value;
    return value <= WEIGHT_ONE ? at : NULL;
}

/* The weight after a coding. Returns the end of the member, NULL if it makes no sense. */
static const char *
read_parameters(const char *at, int *weight)
{
    *weight = WEIGHT_ONE;
    at = skip_blanks(at);
    if (*at == ';') {
        at = skip_blanks(at + 1);
        if ((*at != 'q' && *at != 'Q') || at[1] != '=')
            return NULL;
        at = read_weight(at + 2, weight);
        if (at == NULL)
            return NULL;
        at = skip_blanks(at);
    }
    return *at == ',' || *at == '\0' ? at : NULL;
}

static void
note(struct weir_codings *codings, const char *name, size_t size, int weight)
{
    if ((size == 4 && strncasecmp(name, "gzip", size) == 0) ||
        (size == 6 && strncasecmp(name, "x-gzip", size) == 0))
        codings->gzip = weight;
    else if (size == 8 && strncasecmp(name, "identity", size) == 0)
        codings->identity = weight;
    else if (size == 1 && *name == '*')
        codings->any = weight;
}

void
weir_codings_add(struct weir_codings *codings, const char *value)
{
    const char *at = value;
    while (*at != '\0') {
        at = skip_blanks(at);
        const char *name = at;
        while (is_token_char(*at))
            at++;
        size_t size = (size_t)(at - name);
        int weight;
        const char *end = read_parameters(at, &weight);
        if (size > 0 && end != NULL)
            note(codings, name, size, weight);
        if (end == NULL)
            end = at + strcspn(at, ",");
        at = *end == ',' ? end + 1 : end;
    }
}

bool
weir_codings_want_gzip(const struct weir_codings *codings)
{
    int gzip = codings->gzip >= 0 ? codings->gzip : codings->any;
    return gzip > 0 && gzip >= codings->identity;
}

struct weir_gzip {
    struct isal_zstream stream;
    uint8_t level[ISAL_DEF_LVL1_DEFAULT]; /* the level's tables */
};

enum weir_err
weir_gzip_new(struct weir_gzip **out)
{
    struct weir_gzip *gzip = calloc(1, sizeof *gzip);
    if (gzip == NULL)
        return weir_fail(WEIR_NOMEM, 0, "gzip");
    isal_deflate_init(&gzip->stream);
    gzip->stream.level = 1;
    gzip->stream.level_buf = gzip->level;
    gzip->stream.level_buf_size = sizeof gzip->level;
    gzip->stream.gzip_flag = IGZIP_GZIP;
    *out = gzip;
    return WEIR_OK;
}

void
weir_gzip_free(struct weir_gzip *gzip)
{
    free(gzip);
}

bool
weir_gzip_add(
    struct weir_gzip *gzip, const void *bytes, size_t size, bool last, struct weir_text *out)
{
    struct isal_zstream *stream = &gzip->stream;
    uint8_t piece[PIECE_OUT];
    stream->next_in = (uint8_t *)(uintptr_t)bytes; /* it is read alone */
    stream->avail_in = (uint32_t)size;
    stream->end_of_stream = last;
    do {
        stream->next_out = piece;
        stream->avail_out = sizeof piece;
        if (isal_deflate(stream) != COMP_OK)
            return false;
        weir_text_append(out, piece, sizeof piece - stream->avail_out);
    } while (!out->full && (stream->avail_out == 0 || stream->avail_in > 0));
    return !out->full;
}

static bool
pack(struct weir_gzip *gzip, const struct weir_text *text, struct weir_text *out,
    enum weir_err (*check)(void *context), void *context)
{
    for (size_t at = 0; at < text->size;) {
        size_t size = text->size - at < PIECE_IN ? text->size - at : PIECE_IN;
        if (check != NULL && check(context) != WEIR_OK)
            return false;
        if (!weir_gzip_add(gzip, text->data + at, size, at + size == text->size, out))
            return false;
        at += size;
    }
    return true;
}

bool
weir_text_gzip(struct weir_text *text, enum weir_err (*check)(void *context), void *context)
{
    struct weir_gzip *gzip;
    struct weir_text out;
    if (text->size < WEIR_GZIP_MIN || text->full || weir_gzip_new(&gzip) != WEIR_OK)
        return false;
    weir_text_init(&out, text->size - 1);
    bool smaller = pack(gzip, text, &out, check, context);
    weir_gzip_free(gzip);
    if (!smaller) {
        weir_text_fini(&out);
        return false;
    }
    weir_text_fini(text);
    *text = out;
    return true;
}
