/* text: an answer being written: bytes with an upper bound, and the forms of JSON.
 *
 * Owns:    one heap block that grows up to size_max
 * Threads: none of its own
 * Errors:  an append past size_max, or one the heap refuses, sets `full` and is dropped, as is all
 *          that follows; the sender of the text checks `full` once, at the end
 */
#ifndef WEIR_CONTROLPLANE_HTTP_TEXT_H
#define WEIR_CONTROLPLANE_HTTP_TEXT_H

#include "base/escape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_text {
    char *data; /* not zero terminated; NULL while nothing was appended */
    size_t size;
    size_t capacity;
    size_t size_max;
    bool full;
    bool no_memory; /* the heap refused: the text is full for that */
};

void weir_text_init(struct weir_text *text, size_t size_max);
void weir_text_fini(struct weir_text *text);
/* Removes the text: an error can take the place of half an answer. */
void weir_text_clear(struct weir_text *text);

/* Gives back the unused memory after the text: it may be as much again. */
void weir_text_trim(struct weir_text *text);

/* Room for size bytes at the end of the text, or NULL: it is full. text->size is the caller's to
 * move. */
char *weir_text_room(struct weir_text *text, size_t size);
void weir_text_append(struct weir_text *text, const void *bytes, size_t size);
void weir_text_puts(struct weir_text *text, const char *string);
void weir_text_format(struct weir_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Text that somebody else chose, as the kind of output needs it. */
void weir_text_escape(struct weir_text *text, enum weir_escape kind, const void *bytes,
    size_t size);

/* A JSON string with its quotes. Bytes that are not UTF-8 (RFC 3629) become U+FFFD. */
void weir_json_string(struct weir_text *text, const void *bytes, size_t size);
/* The shortest decimal that reads back to the same double; the strings "NaN", "+Inf" and "-Inf" for
 * values without a number in JSON. */
void weir_json_double(struct weir_text *text, double value);
/* Milliseconds as seconds: with exactly three decimals, or with as many as it takes. */
void weir_json_seconds(struct weir_text *text, int64_t time_ms, bool three_decimals);

/* Room for the output of weir_double_print. */
#define WEIR_DOUBLE_TEXT_MAX 32
/* Prints a finite double as weir_json_double does, zero terminated. Returns its length. */
size_t weir_double_print(double value, char out[WEIR_DOUBLE_TEXT_MAX]);

#endif
