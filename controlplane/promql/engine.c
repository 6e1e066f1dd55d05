#include "controlplane/promql/engine.h"
#include "controlplane/promql/parse/parse.h"
#include "controlplane/promql/plan/annotations.h"
#include "controlplane/promql/plan/eval.h"
#include "controlplane/promql/plan/prepare.h"
#include "controlplane/promql/scan/points.h"
#include "controlplane/promql/scan/table.h"

#include <stdlib.h>
#include <string.h>

/* The message of the first error of the parse, with its place. */
static enum weir_err
fail_parse(
    struct weir_promql_query *query, enum weir_err err, const struct weir_promql_parsed *parsed)
{
    if (err == WEIR_NOMEM || parsed->errors == NULL)
        return err;
    const struct weir_promql_request *request = query->request;
    size_t size = weir_promql_error_text(parsed->errors, request->text, request->size, NULL, 0);
    char *text = weir_promql_query_alloc(query, size + 1);
    if (text == NULL)
        return WEIR_NOMEM;
    (void)weir_promql_error_text(parsed->errors, request->text, request->size, text, size + 1);
    return weir_promql_fail(query, err, text);
}

/* Steps of the request; false where it has none. */
static enum weir_err
make_grid(struct weir_promql_query *query)
{
    const struct weir_promql_request *request = query->request;
    query->grid = (struct weir_promql_grid){request->start_ms, 1, 1};
    if (request->step_ms == 0)
        return WEIR_OK;
    int64_t span_ms;
    if (request->step_ms < 0)
        return weir_promql_fail(query, WEIR_INVALID,
            "zero or negative query resolution step widths are not accepted. Try a positive "
            "integer");
    if (request->end_ms < request->start_ms ||
        __builtin_sub_overflow(request->end_ms, request->start_ms, &span_ms))
        return weir_promql_fail(query, WEIR_INVALID, "end timestamp must not be before start time");
    if (span_ms / request->step_ms >= WEIR_PROMQL_STEPS_MAX)
        return weir_promql_fail(query, WEIR_LIMIT,
            weir_promql_format(&query->arena, "query of %lld steps, at most %d",
                (long long)(span_ms / request->step_ms) + 1, WEIR_PROMQL_STEPS_MAX));
    query->grid.step_ms = request->step_ms;
    query->grid.count = (uint32_t)(span_ms / request->step_ms) + 1;
    return WEIR_OK;
}

static enum weir_err
check_type(struct weir_promql_query *query, const struct weir_promql_node *root)
{
    if (query->request->step_ms == 0 || root->type == WEIR_PROMQL_TYPE_SCALAR ||
        root->type == WEIR_PROMQL_TYPE_VECTOR)
        return WEIR_OK;
    return weir_promql_fail(query, WEIR_INVALID,
        weir_promql_format(&query->arena,
            "invalid expression type \"%s\" for range query, must be Scalar or instant Vector",
            weir_promql_type_text(root->type)));
}

static int
by_labels(const void *a, const void *b)
{
    const struct weir_promql_result *left = a, *right = b;
    return weir_promql_labelset_compare(left->labels, right->labels);
}

static enum weir_err
answer_scalar(struct weir_promql_query *query, const struct weir_promql_node *root)
{
    const double *values;
    enum weir_err err = weir_promql_eval_scalar(query, root, &query->grid, &values);
    if (err != WEIR_OK)
        return err;
    struct weir_promql_answer *answer = query->answer;
    answer->scalar = values[0];
    if (query->request->step_ms == 0)
        return WEIR_OK;
    struct weir_promql_result *result = weir_promql_query_alloc(query, sizeof *result);
    uint64_t *present = weir_promql_bits_new(query, query->grid.count);
    if (result == NULL || present == NULL)
        return WEIR_NOMEM;
    weir_promql_bits_fill(present, query->grid.count);
    *result = (struct weir_promql_result){NULL, values, present, NULL, query->grid.count};
    answer->results = result;
    answer->result_count = 1;
    return weir_promql_labelset_empty(&query->sets, &result->labels);
}

/* Names that were to go do so now: rows that become equal are joined. */
static enum weir_err
drop_names(struct weir_promql_query *query, struct weir_promql_table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        struct weir_promql_row *row = &table->rows[i];
        if (!row->drop_name)
            continue;
        enum weir_err err = weir_promql_labelset_nameless(&query->sets, row->labels, &row->labels);
        if (err != WEIR_OK)
            return err;
    }
    return weir_promql_table_merge(query, table);
}

static enum weir_err
answer_vector(struct weir_promql_query *query, const struct weir_promql_node *root)
{
    struct weir_promql_table table;
    enum weir_err err = weir_promql_table_eval(query, root, &query->grid, &table);
    if (err == WEIR_OK)
        err = drop_names(query, &table);
    if (err != WEIR_OK)
        return err;
    struct weir_promql_result *results =
        weir_promql_query_alloc(query, (table.count + (size_t)1) * sizeof *results);
    if (results == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < table.count; i++) {
        const struct weir_promql_row *row = &table.rows[i];
        results[i] = (struct weir_promql_result){
            row->labels, row->values, row->present, NULL, query->grid.count};
    }
    if (query->request->step_ms != 0)
        qsort(results, table.count, sizeof *results, by_labels);
    query->answer->results = results;
    query->answer->result_count = table.count;
    return WEIR_OK;
}

static enum weir_err
answer_points(struct weir_promql_query *query, const struct weir_promql_node *root)
{
    struct weir_promql_result *results;
    uint32_t count;
    enum weir_err err =
        weir_promql_points_eval(query, root, query->request->start_ms, &results, &count);
    if (err != WEIR_OK)
        return err;
    if (count > 1)
        qsort(results, count, sizeof *results, by_labels);
    query->answer->results = results;
    query->answer->result_count = count;
    return WEIR_OK;
}

static enum weir_err
evaluate(struct weir_promql_query *query, const struct weir_promql_node *root)
{
    struct weir_promql_answer *answer = query->answer;
    answer->type = query->request->step_ms == 0 ? root->type : WEIR_PROMQL_TYPE_MATRIX;
    answer->grid = query->grid;
    switch (root->type) {
    case WEIR_PROMQL_TYPE_STRING:
        answer->string = root->string;
        return WEIR_OK;
    case WEIR_PROMQL_TYPE_SCALAR:
        return answer_scalar(query, root);
    case WEIR_PROMQL_TYPE_MATRIX:
        return answer_points(query, root);
    default:
        return answer_vector(query, root);
    }
}

static enum weir_err
run(struct weir_promql_query *query)
{
    const struct weir_promql_request *request = query->request;
    struct weir_promql_parsed parsed;
    enum weir_err err = weir_promql_parse(&query->arena, request->text, request->size, &parsed);
    if (err != WEIR_OK)
        return fail_parse(query, err, &parsed);
    err = make_grid(query);
    if (err == WEIR_OK)
        err = check_type(query, parsed.root);
    if (err == WEIR_OK)
        err = weir_promql_prepare(query, parsed.root);
    if (err == WEIR_OK)
        err = weir_promql_labelsets_init(&query->sets, &query->arena);
    if (err == WEIR_OK)
        err = request->source->functions->view_open(request->source, &query->view);
    if (err != WEIR_OK)
        return err;
    query->answer->ran = true;
    err = evaluate(query, weir_promql_unwrapped(parsed.root));
    request->source->functions->view_close(query->view);
    return err == WEIR_OK ? weir_promql_annotate_fixes(query) : err;
}

enum weir_err
weir_promql_run(const struct weir_promql_request *request, struct weir_promql_answer *out)
{
    *out = (struct weir_promql_answer){0};
    struct weir_promql_query query = {.request = request, .answer = out};
    weir_promql_arena_init(&query.arena, request->memory_max);
    enum weir_err err = run(&query);
    out->over_memory = query.arena.over;
    out->arena = query.arena;
    return err;
}

/* A copy of size bytes; NULL without memory. */
static void *
copy(struct weir_promql_arena *arena, const void *bytes, size_t size)
{
    void *out = weir_promql_arena_alloc(arena, size);
    return out != NULL && size > 0 ? memcpy(out, bytes, size) : out;
}

static enum weir_err
copy_labels(struct weir_promql_arena *arena, const struct weir_promql_labelset **labels)
{
    const struct weir_promql_labelset *from = *labels;
    struct weir_promql_labelset *to =
        copy(arena, from, sizeof *from + from->count * sizeof from->labels[0]);
    *labels = to;
    for (uint32_t i = 0; to != NULL && i < to->count; i++) {
        struct weir_promql_label *label = &to->labels[i];
        label->name.data = copy(arena, label->name.data, label->name.size);
        label->value.data = copy(arena, label->value.data, label->value.size);
        if (label->name.data == NULL || label->value.data == NULL)
            return WEIR_NOMEM;
    }
    return to != NULL ? WEIR_OK : WEIR_NOMEM;
}

static enum weir_err
copy_result(struct weir_promql_arena *arena, struct weir_promql_result *result)
{
    size_t bits = (size_t)weir_promql_words(result->count) * sizeof result->present[0];
    bool steps = result->present != NULL, points = result->times_ms != NULL;
    result->values = copy(arena, result->values, result->count * sizeof result->values[0]);
    result->present = steps ? copy(arena, result->present, bits) : NULL;
    result->times_ms =
        points ? copy(arena, result->times_ms, result->count * sizeof result->times_ms[0]) : NULL;
    if (result->values == NULL || (steps && result->present == NULL) ||
        (points && result->times_ms == NULL))
        return WEIR_NOMEM;
    return copy_labels(arena, &result->labels);
}

static enum weir_err
copy_annotations(struct weir_promql_arena *arena, struct weir_promql_annotation **link)
{
    for (; *link != NULL; link = &(*link)->next) {
        struct weir_promql_annotation *to = copy(arena, *link, sizeof **link);
        if (to == NULL)
            return WEIR_NOMEM;
        *link = to;
        to->text = copy(arena, to->text, strlen(to->text) + 1);
        if (to->text == NULL)
            return WEIR_NOMEM;
    }
    return WEIR_OK;
}

static enum weir_err
copy_answer(struct weir_promql_arena *arena, struct weir_promql_answer *to)
{
    struct weir_promql_result *results =
        copy(arena, to->results, to->result_count * sizeof *results);
    to->results = results;
    if (results == NULL)
        return WEIR_NOMEM;
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && i < to->result_count; i++)
        err = copy_result(arena, &results[i]);
    if (err == WEIR_OK && to->string.size > 0) {
        to->string.data = copy(arena, to->string.data, to->string.size);
        err = to->string.data != NULL ? WEIR_OK : WEIR_NOMEM;
    }
    return err == WEIR_OK ? copy_annotations(arena, &to->annotations) : err;
}

enum weir_err
weir_promql_answer_compact(struct weir_promql_answer *answer)
{
    struct weir_promql_answer compact = *answer;
    struct weir_promql_arena arena;
    weir_promql_arena_init(&arena, SIZE_MAX);
    enum weir_err err = copy_answer(&arena, &compact);
    if (err != WEIR_OK) {
        weir_promql_arena_fini(&arena);
        return err;
    }
    weir_promql_arena_fini(&answer->arena);
    compact.arena = arena;
    *answer = compact;
    return WEIR_OK;
}

void
weir_promql_answer_free(struct weir_promql_answer *answer)
{
    weir_promql_arena_fini(&answer->arena);
}
