#include "controlplane/http/encoding.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define WEIGHT_ONE 1000
#define GZIP_WINDOW_BITS (15 + 16) /* 16: with the head of gzip */
#define GZIP_MEMORY_LEVEL 8        /* zlib's default */
#define PIECE_IN (256u << 10)
#define PIECE_OUT (64u << 10)

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

static bool
deflate_all(z_stream *stream, const struct weir_text *text, struct weir_text *out,
    enum weir_err (*check)(void *context), void *context)
{
    unsigned char piece[PIECE_OUT];
    size_t at = 0;
    int result = Z_OK;
    while (result == Z_OK && !out->full) {
        if (stream->avail_in == 0 && at < text->size) {
            if (check != NULL && check(context) != WEIR_OK)
                return false;
            size_t size = text->size - at < PIECE_IN ? text->size - at : PIECE_IN;
            stream->next_in = (unsigned char *)text->data + at;
            stream->avail_in = (unsigned)size;
            at += size;
        }
        stream->next_out = piece;
        stream->avail_out = sizeof piece;
        result = deflate(stream, at == text->size ? Z_FINISH : Z_NO_FLUSH);
        weir_text_append(out, piece, sizeof piece - stream->avail_out);
    }
    return result == Z_STREAM_END && !out->full;
}

bool
weir_text_gzip(struct weir_text *text, enum weir_err (*check)(void *context), void *context)
{
    z_stream stream = {0};
    struct weir_text out;
    /* the fastest level: JSON of points repeats itself at short distance */
    if (text->size < WEIR_GZIP_MIN || text->full ||
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
            Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    weir_text_init(&out, text->size - 1);
    bool smaller = deflate_all(&stream, text, &out, check, context);
    deflateEnd(&stream);
    if (!smaller) {
        weir_text_fini(&out);
        return false;
    }
    weir_text_fini(text);
    *text = out;
    return true;
}
