/* lexer: a query's text as tokens, one at a time.
 *
 * Threads: one at a time
 * Memory:  messages of errors in the arena
 * Errors:  a token of kind WEIR_PROMQL_ERROR ends the text; without memory its text is empty
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_LEXER_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_LEXER_H

#include "controlplane/promql/parse/token.h"

struct weir_promql_lexer {
    struct weir_promql_arena *arena;
    const char *text;
    size_t size;
    size_t start;    /* of the token under way */
    size_t position; /* of the next character */
    unsigned width;  /* of the last character */
    int depth;       /* of parentheses */
    bool brace, bracket, colon, duration; /* inside { }, inside [ ]; seen since the [ */
    bool expression; /* the next token is looked for as part of a duration expression */
    bool ended;
    bool starved; /* there was no memory for a message */
};

void weir_promql_lexer_init(struct weir_promql_lexer *lexer, struct weir_promql_arena *arena,
    const char *text, size_t size);
/* The next token; comments and blanks are passed over. */
struct weir_promql_item weir_promql_lexer_next(struct weir_promql_lexer *lexer);

#endif
