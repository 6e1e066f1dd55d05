/* lines: the parse of a test file: its lines without comments and blanks around them, and words.
 *
 * Threads: one
 * Errors:  as script.h
 */
#ifndef WEIR_TESTS_PROMQL_LINES_H
#define WEIR_TESTS_PROMQL_LINES_H

#include "tests/promql/script.h"

struct lines {
    struct weir_promql_arena *arena;
    struct script *script;
    const char *at, *end;
    struct weir_promql_text line; /* the one read last; empty: a comment or nothing */
    uint32_t number;              /* of it, from 1 */
};

/* The next line; false at the end. */
bool lines_next(struct lines *lines);

/* Takes a word and the blanks after it off the front of text. */
struct weir_promql_text lines_word(struct weir_promql_text *text);
struct weir_promql_text lines_trim(struct weir_promql_text text);
bool lines_starts_with(struct weir_promql_text text, const char *word);
struct weir_promql_text lines_after(struct weir_promql_text text, size_t size);

/* The message is printf's; WEIR_NOMEM without memory for it. */
enum weir_err lines_refuse(struct lines *lines, const char *format, ...)
    __attribute__((format(printf, 2, 3))) WEIR_MUST_USE;

/* A duration ("1h30m", "0") in ms. */
enum weir_err lines_duration(
    struct lines *lines, struct weir_promql_text word, int64_t *out_ms) WEIR_MUST_USE;
/* A number with a sign. *is_number: whether all of text is one. */
enum weir_err lines_number(
    struct lines *lines, struct weir_promql_text text, double *out, bool *is_number) WEIR_MUST_USE;

/* A series with its values, expanded. */
enum weir_err lines_series(
    struct lines *lines, struct weir_promql_text text, struct script_series **out) WEIR_MUST_USE;
/* Offsets of start times ("-1m+10sx3 _x2 0s"), one a point of series. */
enum weir_err lines_starts(struct lines *lines, struct weir_promql_text text,
    const struct script_series *series) WEIR_MUST_USE;

#endif
