#include "controlplane/api/language.h"

#include "controlplane/api/ast_json.h"
#include "controlplane/api/param.h"
#include "controlplane/promql/parse/parse.h"

#include <stdio.h>

/* The tree of parameter query; NULL: the call carries the error. */
static struct weir_promql_node *
parse(struct weir_call *call, struct weir_promql_arena *arena)
{
    const struct weir_param *param = weir_param_find(call, "query");
    const char *text = param != NULL ? param->value : "";
    size_t size = param != NULL ? param->value_size : 0;
    struct weir_promql_parsed parsed;
    char reason[1024];
    enum weir_err err = weir_promql_parse(arena, text, size, &parsed);
    if (err == WEIR_OK)
        return parsed.root;
    if (err == WEIR_NOMEM || parsed.errors == NULL) {
        weir_call_fail_kind(call, WEIR_ERROR_UNAVAILABLE, "not enough memory for this query", NULL);
        return NULL;
    }
    weir_promql_error_text(parsed.errors, text, size, reason, sizeof reason);
    weir_param_refuse(call, "query", reason);
    return NULL;
}

static void
close_answer(struct weir_call *call)
{
    call->status = WEIR_STATUS_OK;
    weir_text_puts(&call->answer, "}\n");
    if (call->answer.full)
        weir_call_full(call, "ask for a shorter query");
}

void
weir_api_format_query(struct weir_call *call)
{
    struct weir_promql_arena arena;
    struct weir_promql_text text;
    weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
    struct weir_promql_node *root = parse(call, &arena);
    if (root != NULL && weir_promql_pretty(&arena, root, WEIR_PROMQL_COLUMNS, &text) == WEIR_OK) {
        weir_text_puts(&call->answer, "{\"status\":\"success\",\"data\":");
        weir_json_string(&call->answer, text.data, text.size);
        close_answer(call);
    } else if (root != NULL) {
        weir_call_fail_kind(call, WEIR_ERROR_UNAVAILABLE, "not enough memory for this query", NULL);
    }
    weir_promql_arena_fini(&arena);
}

void
weir_api_parse_query(struct weir_call *call)
{
    struct weir_promql_arena arena;
    weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
    const struct weir_promql_node *root = parse(call, &arena);
    if (root != NULL) {
        weir_text_puts(&call->answer, "{\"status\":\"success\",\"data\":");
        weir_ast_json(&call->answer, root);
        close_answer(call);
    }
    weir_promql_arena_fini(&arena);
}
