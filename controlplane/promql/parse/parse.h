/* parse: a PromQL query as a checked tree, and the tree as text.
 *
 * The language is that of Prometheus 3.14 with its experimental parts on. Messages and positions
 * are the reference's, because users and tools compare them.
 *
 * Threads: any, an arena each
 * Memory:  all in the caller's arena; nothing is kept elsewhere
 * Errors:  WEIR_INVALID with at least one error in the result; WEIR_LIMIT likewise; WEIR_NOMEM
 *          where malloc fails or the arena's limit is reached
 * Limits:  WEIR_PROMQL_TEXT_MAX, WEIR_PROMQL_HEIGHT_MAX, WEIR_PROMQL_LABELS_MAX,
 *          WEIR_PROMQL_ERRORS_MAX
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_PARSE_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_PARSE_H

#include "base/err.h"
#include "controlplane/promql/parse/ast.h"

/* Bytes of a query. */
#define WEIR_PROMQL_TEXT_MAX (128 * 1024)
/* Nodes from the root to the deepest leaf: 999 operators in a row. Walks recurse that deep. */
#define WEIR_PROMQL_HEIGHT_MAX 1000
/* Labels in one by, without, on, ignoring, group_left or group_right. */
#define WEIR_PROMQL_LABELS_MAX 1000
/* Errors kept; those after it are dropped. */
#define WEIR_PROMQL_ERRORS_MAX 100
/* Bytes an arena needs for the worst query within these limits. */
#define WEIR_PROMQL_ARENA_MAX (64 * 1024 * 1024)
/* Columns up to which pretty keeps a node on one line; Prometheus's format_query takes 100. */
#define WEIR_PROMQL_COLUMNS 100

struct weir_promql_error {
    struct weir_promql_range at;
    const char *message;
    const struct weir_promql_error *next;
};

struct weir_promql_parsed {
    struct weir_promql_node *root;          /* NULL with errors */
    const struct weir_promql_error *errors; /* in the order they were found */
    uint32_t error_count;
};

/* text is borrowed as long as the tree is used. */
enum weir_err weir_promql_parse(struct weir_promql_arena *arena, const char *text, size_t size,
    struct weir_promql_parsed *out) WEIR_MUST_USE;

/* "1:5: parse error: ...": line and column of an error in its text, and the message. */
size_t weir_promql_error_text(const struct weir_promql_error *error, const char *text, size_t size,
    char *out, size_t room);

/* The canonical text: parsed again it prints the same. Zero terminated. */
enum weir_err weir_promql_print(struct weir_promql_arena *arena, struct weir_promql_node *node,
    struct weir_promql_text *out) WEIR_MUST_USE;
/* The same over several lines, each node that is wider than columns split. */
enum weir_err weir_promql_pretty(struct weir_promql_arena *arena, struct weir_promql_node *node,
    uint32_t columns, struct weir_promql_text *out) WEIR_MUST_USE;

#endif
