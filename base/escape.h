/* escape: text that somebody else chose, made safe for the place where it is printed.
 *
 * Names and values come from senders, arguments and paths from users. They may hold any byte. Each
 * kind of output gives some of them a meaning of its own. Each text therefore passes through here
 * once, just before it is printed.
 *
 *   kind      " and \      newline, tab, CR   C0, DEL   C1, bidi   not UTF-8   for
 *   TERMINAL  " \\         \n \t \r           \x1b      \u009b     \xff        people
 *   QUOTED    \" \\        \n \t \r           \x1b      \u009b     \xff        "..." of a selector
 *   JSON      \" \\        \n \t \r           \u001b    \u009b     U+FFFD      "..." of JSON
 *   LOGFMT    \" \\        \n \t \r           \u001b    \u009b     \ufffd      "..." of an event
 *   LABEL     \" \\        \n                 kept      kept       U+FFFD      l="..." of /metrics
 *   HELP      "  \\        \n                 kept      kept       U+FFFD      HELP of /metrics
 *   HTML      &quot; \     kept               U+FFFD    U+FFFD     U+FFFD      text and attributes
 *
 * QUOTED also escapes U+FFFD, which PromQL takes for bytes that are no text.
 * TERMINAL and QUOTED keep different byte strings different. A selector reads QUOTED back to
 * the same bytes. A reader of JSON or LOGFMT gets the same text for all that is UTF-8. HTML turns
 * & < > and ' into references besides. "bidi" are the characters that turn the direction of text
 * (U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069) and the separators U+2028, U+2029.
 *
 * Threads: any; no state
 * Memory:  none
 */
#ifndef WEIR_BASE_ESCAPE_H
#define WEIR_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum weir_escape {
    WEIR_ESCAPE_TERMINAL,
    WEIR_ESCAPE_QUOTED,
    WEIR_ESCAPE_JSON,
    WEIR_ESCAPE_LOGFMT,
    WEIR_ESCAPE_LABEL,
    WEIR_ESCAPE_HELP,
    WEIR_ESCAPE_HTML,
};

/* The longest rendering of one character, and a zero. */
#define WEIR_ESCAPED_MAX 8

/* Reads the first character of bytes: size of them, at least one. Returns its length. *used is 0 if
 * it may be printed as it is, else the length of its replacement in out. */
size_t weir_escape_next(enum weir_escape kind, const uint8_t *bytes, size_t size,
    char out[WEIR_ESCAPED_MAX], size_t *used);

/* Renders size bytes into out, zero terminated. A text too long is cut between two characters.
 * Returns the length of what was written. room is at least 1. */
size_t weir_escape_into(enum weir_escape kind, const void *bytes, size_t size, char *out,
    size_t room);

/* The same to a stream. */
void weir_escape_print(enum weir_escape kind, const void *bytes, size_t size, FILE *out);

/* Prints one line of a message to people: the formatted text as TERMINAL, and a newline. */
void weir_line_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
