#include "controlplane/promql/plan/query.h"

enum weir_err
weir_promql_fail(struct weir_promql_query *query, enum weir_err err, const char *message)
{
    if (message == NULL)
        return WEIR_NOMEM;
    query->answer->error = message;
    return err;
}

enum weir_err
weir_promql_ask(struct weir_promql_query *query)
{
    const struct weir_promql_request *request = query->request;
    query->work = 0;
    if (request->verdict == NULL)
        return WEIR_OK;
    query->answer->verdict = request->verdict(request->verdict_state);
    switch (query->answer->verdict) {
    case WEIR_PROMQL_CANCELED:
        return weir_promql_fail(
            query, WEIR_LIMIT, "query was canceled in expression evaluation");
    case WEIR_PROMQL_TIMED_OUT:
        return weir_promql_fail(query, WEIR_LIMIT, "query timed out in expression evaluation");
    default:
        return WEIR_OK;
    }
}

double *
weir_promql_doubles_new(struct weir_promql_query *query, uint32_t count)
{
    return weir_promql_query_alloc(query, (size_t)count * sizeof(double));
}

uint64_t *
weir_promql_bits_new(struct weir_promql_query *query, uint32_t count)
{
    return weir_promql_query_alloc(query, (size_t)weir_promql_words(count) * sizeof(uint64_t));
}

void
weir_promql_line_column(
    const struct weir_promql_query *query, int32_t at, uint32_t *line, uint32_t *column)
{
    *line = 1;
    *column = 1;
    for (int32_t i = 0; i < at && (size_t)i < query->request->size; i++) {
        (*column)++;
        if (query->request->text[i] == '\n') {
            (*line)++;
            *column = 1;
        }
    }
}

const struct weir_promql_node *
weir_promql_unwrapped(const struct weir_promql_node *node)
{
    while (node->kind == WEIR_PROMQL_NODE_PAREN)
        node = node->paren;
    return node;
}
