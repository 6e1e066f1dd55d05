/* query_words: the series that the words of weir query choose: a metric or a selector of PromQL,
 * then LABEL=VALUE.
 *
 * Threads: the main thread
 * Memory:  an arena until fini
 * Errors:  WEIR_INVALID; the detail says what was not understood
 */
#ifndef WEIR_APP_CLI_QUERY_WORDS_H
#define WEIR_APP_CLI_QUERY_WORDS_H

#include "controlplane/promql/parse/ast.h"

struct weir_query_words {
    struct weir_promql_arena arena;
    struct weir_promql_matcher *matchers;
    uint32_t count;
};

/* A first word with a brace is a selector; one without = is the name of a metric, whatever it
 * holds. words is borrowed until fini. */
enum weir_err weir_query_words_read(
    const char *const *words, int count, struct weir_query_words *out) WEIR_MUST_USE;
/* After a failed read as well. */
void weir_query_words_fini(struct weir_query_words *words);

/* Whether a word can only be a name: of letters, digits, and the punctuation that names of metrics
 * have, and no number. Anything else reads as PromQL. */
bool weir_query_word_is_name(const char *word);

#endif
