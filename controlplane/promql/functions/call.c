#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/scan/window.h"

enum form { FORM_ROW, FORM_RANGE, FORM_SCALAR, FORM_WHOLE, FORM_MISSING };

static const struct kernel {
    enum form form;
    union {
        weir_promql_row_kernel *row;
        weir_promql_range_kernel *range;
        weir_promql_scalar_kernel *scalar;
        weir_promql_whole_kernel *whole;
        void *none;
    };
} kernels[] = {
#define ROW(name)                                                                                  \
    {                                                                                              \
        FORM_ROW,                                                                                  \
        {                                                                                          \
            .row = weir_promql_row_##name                                                          \
        }                                                                                          \
    }
#define RANGE(name)                                                                                \
    {                                                                                              \
        FORM_RANGE,                                                                                \
        {                                                                                          \
            .range = weir_promql_range_##name                                                      \
        }                                                                                          \
    }
#define SCALAR(name)                                                                               \
    {                                                                                              \
        FORM_SCALAR,                                                                               \
        {                                                                                          \
            .scalar = weir_promql_scalar_##name                                                    \
        }                                                                                          \
    }
#define WHOLE(name)                                                                                \
    {                                                                                              \
        FORM_WHOLE,                                                                                \
        {                                                                                          \
            .whole = weir_promql_whole_##name                                                      \
        }                                                                                          \
    }
#define MISSING(name)                                                                              \
    {                                                                                              \
        FORM_MISSING,                                                                              \
        {                                                                                          \
            .none = NULL                                                                           \
        }                                                                                          \
    }
#define WEIR_FUNCTION(name, result, arguments, optional, experimental, flags, form, kernel)        \
    form(kernel),
#include "controlplane/promql/parse/functions.def"
#undef WEIR_FUNCTION
};

const struct weir_promql_node *
weir_promql_argument(const struct weir_promql_call *call, uint32_t index)
{
    const struct weir_promql_list *arguments = &call->node->call.arguments;
    return index < arguments->count ? weir_promql_unwrapped(arguments->nodes[index]) : NULL;
}

struct weir_promql_text
weir_promql_argument_text(const struct weir_promql_call *call, uint32_t index)
{
    return weir_promql_argument(call, index)->string;
}

enum weir_err
weir_promql_argument_table(
    struct weir_promql_call *call, uint32_t index, struct weir_promql_table *out)
{
    return weir_promql_table_eval(call->query, weir_promql_argument(call, index), &call->grid, out);
}

/* Evaluates the scalar arguments. */
static enum weir_err
prepare(struct weir_promql_call *call, struct weir_promql_query *query,
    const struct weir_promql_node *node, const struct weir_promql_grid *grid)
{
    const struct weir_promql_list *arguments = &node->call.arguments;
    *call = (struct weir_promql_call){
        .query = query, .node = node, .function = node->call.function, .grid = *grid};
    call->scalars = weir_promql_query_alloc(query, (arguments->count + 1) * sizeof *call->scalars);
    if (call->scalars == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < arguments->count; i++) {
        if (arguments->nodes[i]->type != WEIR_PROMQL_TYPE_SCALAR)
            continue;
        enum weir_err err =
            weir_promql_eval_scalar(query, arguments->nodes[i], grid, &call->scalars[i]);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Calls a row kernel on each row of the vector argument. */
struct row_sink {
    struct weir_promql_sink sink; /* first */
    struct weir_promql_call *call;
    weir_promql_row_kernel *kernel;
    struct weir_promql_sink *next;
};

static enum weir_err
push_row(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct row_sink *self = (struct row_sink *)sink;
    if ((self->call->function->flags & WEIR_PROMQL_KEEPS_NAME) == 0)
        row->drop_name = true;
    enum weir_err err = self->kernel(self->call, row);
    return err == WEIR_OK ? weir_promql_push(self->next, row) : err;
}

/* Functions of time of day and date take time() where no argument is given. */
static enum weir_err
push_time(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct weir_promql_row row = {.values = weir_promql_doubles_new(call->query, call->grid.count),
        .present = weir_promql_bits_new(call->query, call->grid.count)};
    if (row.values == NULL || row.present == NULL)
        return WEIR_NOMEM;
    enum weir_err err = weir_promql_labelset_empty(&call->query->sets, &row.labels);
    if (err != WEIR_OK)
        return err;
    weir_promql_bits_fill(row.present, call->grid.count);
    for (uint32_t i = 0; i < call->grid.count; i++)
        row.values[i] = (double)weir_promql_grid_time(&call->grid, i) / 1000;
    return weir_promql_push(sink, &row);
}

static enum weir_err
eval_rows(
    struct weir_promql_call *call, weir_promql_row_kernel *kernel, struct weir_promql_sink *next)
{
    struct row_sink sink = {{push_row}, call, kernel, next};
    for (uint32_t i = 0; i < call->node->call.arguments.count; i++) {
        const struct weir_promql_node *argument = weir_promql_argument(call, i);
        if (argument->type == WEIR_PROMQL_TYPE_VECTOR)
            return weir_promql_eval(call->query, argument, &call->grid, &sink.sink);
    }
    return push_time(call, &sink.sink);
}

static enum weir_err
missing(struct weir_promql_call *call)
{
    return weir_promql_fail(call->query, WEIR_UNSUPPORTED,
        weir_promql_format(
            &call->query->arena, "function %s is not supported yet", call->function->name));
}

enum weir_err
weir_promql_call_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    struct weir_promql_call call;
    enum weir_err err = prepare(&call, query, node, grid);
    if (err != WEIR_OK)
        return err;
    const struct kernel *kernel = &kernels[call.function->id];
    switch (kernel->form) {
    case FORM_ROW:
        return eval_rows(&call, kernel->row, sink);
    case FORM_RANGE:
        return weir_promql_windows_eval(&call, kernel->range, sink);
    case FORM_WHOLE:
        return kernel->whole(&call, sink);
    default:
        return missing(&call);
    }
}

enum weir_err
weir_promql_call_scalar(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, double *out)
{
    struct weir_promql_call call;
    enum weir_err err = prepare(&call, query, node, grid);
    if (err != WEIR_OK)
        return err;
    const struct kernel *kernel = &kernels[call.function->id];
    return kernel->form == FORM_SCALAR ? kernel->scalar(&call, out) : missing(&call);
}
