/* go_text: characters, strings, numbers and durations as the reference, written in Go, reads and
 * prints them. Messages and canonical text depend on these forms to the last character.
 *
 * Threads: any; no state
 * Memory:  results in the arena; NULL or WEIR_NOMEM without it
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_GO_TEXT_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_GO_TEXT_H

#include "base/err.h"
#include "controlplane/promql/parse/arena.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes, with no zero at the end. */
struct weir_promql_text {
    const char *data;
    uint32_t size;
};

#define WEIR_PROMQL_RUNE_ERROR 0xfffd
#define WEIR_PROMQL_RUNE_EOF (-1)

/* Room for any double as plain digits. */
#define WEIR_PROMQL_DOUBLE_MAX 400
/* Room for any duration: 292y to 1ms. */
#define WEIR_PROMQL_DURATION_MAX 64

/* The character at data; a byte that begins none is WEIR_PROMQL_RUNE_ERROR of width 1. */
int32_t weir_promql_rune(const char *data, size_t size, unsigned *width);
/* Bytes that the first count characters take. */
size_t weir_promql_runes(struct weir_promql_text text, size_t count);
bool weir_promql_text_is(struct weir_promql_text text, const char *word);
bool weir_promql_text_equal(struct weir_promql_text a, struct weir_promql_text b);
/* Whether it is [a-zA-Z_][a-zA-Z0-9_]*. */
bool weir_promql_label_is_plain(struct weir_promql_text name);

/* printf into the arena. */
const char *weir_promql_format(struct weir_promql_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "..." with escapes, zero terminated. */
const char *weir_promql_quoted(struct weir_promql_arena *arena, struct weir_promql_text text);
/* Length of that; written to out unless NULL, no zero. */
size_t weir_promql_quote(struct weir_promql_text text, char *out);
/* '.' with escapes; WEIR_PROMQL_RUNE_EOF shows as U+FFFD. */
const char *weir_promql_quoted_rune(struct weir_promql_arena *arena, int32_t rune);
/* U+0063 'c'. */
const char *weir_promql_rune_name(struct weir_promql_arena *arena, int32_t rune);
/* The value of a string token that the lexer let through. */
enum weir_err weir_promql_unquote(struct weir_promql_arena *arena, struct weir_promql_text token,
    struct weir_promql_text *out) WEIR_MUST_USE;

/* Reads a number token. *problem is NULL, or what is wrong ("invalid syntax"). WEIR_NOMEM. */
enum weir_err weir_promql_number(struct weir_promql_arena *arena, struct weir_promql_text token,
    double *out, const char **problem) WEIR_MUST_USE;
/* Reads a duration token, in ns. *problem is NULL or the message. WEIR_NOMEM. */
enum weir_err weir_promql_duration(struct weir_promql_arena *arena, struct weir_promql_text token,
    int64_t *out_ns, const char **problem) WEIR_MUST_USE;

/* Shortest digits that read back the same. plain: never with an exponent, Go's 'f'; else one from
 * 1e6 on and below 1e-4, Go's %g and %v. Returns the length. */
size_t weir_promql_double(double value, bool plain, char out[WEIR_PROMQL_DOUBLE_MAX]);
/* 1h30m; parts of a millisecond as seconds, because the reference's text for those is not valid.
 * ns is at least 0. Returns the length. */
size_t weir_promql_duration_text(int64_t ns, char out[WEIR_PROMQL_DURATION_MAX]);

#endif
