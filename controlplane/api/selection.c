#include "controlplane/api/selection.h"

#include "controlplane/api/param.h"
#include "controlplane/api/quoted_name.h"
#include "controlplane/promql/parse/parse.h"
#include "controlplane/query/source_reader.h"

#include <stdlib.h>
#include <string.h>

static bool
fail(struct weir_call *call, enum weir_err err)
{
    if (call->status <= WEIR_STATUS_OK) /* no error is in its place */
        weir_call_fail_err(call, err);
    return false;
}

/* The union of two ascending lists, to out. Returns its count. */
static size_t
join_numbers(const uint64_t *left, size_t left_count, const uint64_t *right, size_t right_count,
    uint64_t *out)
{
    size_t used = 0;
    size_t l = 0;
    size_t r = 0;
    while (l < left_count || r < right_count) {
        bool left_first = r == right_count || (l < left_count && left[l] <= right[r]);
        uint64_t number = left_first ? left[l] : right[r];
        l += l < left_count && left[l] == number;
        r += r < right_count && right[r] == number;
        out[used++] = number;
    }
    return used;
}

/* Adds a list, which it takes over. Joined at once: many selectors of many series need no more
 * memory than all series do. */
static enum weir_err
add_numbers(struct weir_selection *selection, uint64_t *numbers, size_t count)
{
    if (selection->numbers == NULL) {
        selection->numbers = numbers;
        selection->count = count;
        return WEIR_OK;
    }
    uint64_t *joined = malloc((selection->count + count + 1) * sizeof *joined);
    if (joined == NULL) {
        free(numbers);
        return weir_fail(WEIR_NOMEM, 0, "%zu series", selection->count + count);
    }
    selection->count = join_numbers(selection->numbers, selection->count, numbers, count, joined);
    free(selection->numbers);
    free(numbers);
    selection->numbers = joined;
    return WEIR_OK;
}

static void
refuse_selector(
    struct weir_call *call, const struct weir_param *param, const struct weir_promql_parsed *parsed)
{
    char text[512], message[600], hint[WEIR_QUOTED_NAME_HINT_MAX];
    snprintf(text, sizeof text, "it is no series selector");
    if (parsed->errors != NULL)
        weir_promql_error_text(
            parsed->errors, param->value, param->value_size, text, sizeof text);
    snprintf(message, sizeof message, "invalid parameter \"match[]\": %s", text);
    bool quoted = parsed->errors != NULL &&
        weir_quoted_name_hint(
            param->value, param->value_size, (size_t)parsed->errors->at.start, hint);
    weir_call_fail_kind(call, WEIR_ERROR_BAD_DATA, message, quoted ? hint : NULL);
}

/* Adds the series of one match[] parameter. */
static enum weir_err
add_selector(struct weir_call *call, const struct weir_param *param,
    struct weir_promql_arena *arena, struct weir_selection *selection)
{
    struct weir_promql_parsed parsed;
    uint64_t *numbers = NULL;
    size_t count = 0;
    enum weir_err err = weir_promql_parse(arena, param->value, param->value_size, &parsed);
    if (err == WEIR_NOMEM)
        return weir_fail(WEIR_NOMEM, 0, "selector of %zu bytes", param->value_size);
    const struct weir_promql_node *root = parsed.root;
    bool plain = err == WEIR_OK && root->kind == WEIR_PROMQL_NODE_VECTOR &&
        root->vector.shift.offset.ns == 0 && root->vector.shift.offset.expression == NULL &&
        !root->vector.shift.at_set &&
        root->vector.shift.edge != WEIR_PROMQL_START &&
        root->vector.shift.edge != WEIR_PROMQL_END;
    if (!plain) {
        refuse_selector(call, param, &parsed);
        return WEIR_INVALID;
    }
    err = weir_source_reader_select(call->reader, arena, root->vector.matchers, root->vector.count,
        &numbers, &count);
    return err == WEIR_OK ? add_numbers(selection, numbers, count) : err;
}

static bool
add_selectors(struct weir_call *call, struct weir_selection *selection)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < call->params->count; i++) {
        struct weir_promql_arena arena;
        if (strcmp(call->params->items[i].name, "match[]") != 0)
            continue;
        selection->all = false;
        selection->any_match = true;
        weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
        err = add_selector(call, &call->params->items[i], &arena, selection);
        weir_promql_arena_fini(&arena);
        if (err == WEIR_OK)
            err = weir_call_check(call);
    }
    return err == WEIR_OK || fail(call, err);
}

/* Which of the series have a sample. */
struct marks {
    uint8_t *seen; /* one a series */
    size_t left;   /* series without one */
};

static enum weir_err
mark(void *context, size_t index, int64_t time_ms, double value)
{
    struct marks *marks = context;
    (void)time_ms, (void)value;
    marks->left -= !marks->seen[index];
    marks->seen[index] = 1;
    return marks->left > 0 ? WEIR_OK : WEIR_END;
}

static enum weir_err
keep_seen(struct weir_selection *selection, const struct marks *marks)
{
    uint64_t *kept = malloc((selection->count - marks->left + 1) * sizeof *kept);
    size_t used = 0;
    if (kept == NULL)
        return weir_fail(WEIR_NOMEM, 0, "%zu series", selection->count - marks->left);
    for (size_t i = 0; i < selection->count; i++)
        if (marks->seen[i])
            kept[used++] = weir_selection_number(selection, i);
    free(selection->numbers);
    selection->numbers = kept;
    selection->count = used;
    selection->all = false;
    return WEIR_OK;
}

/* Leaves those with a sample in [start, end]. */
static bool
narrow(struct weir_call *call, struct weir_selection *selection, int64_t start_ms, int64_t end_ms)
{
    struct marks marks = {calloc(1, selection->count + 1), selection->count};
    enum weir_err err = WEIR_OK;
    if (marks.seen == NULL)
        return fail(call, weir_fail(WEIR_NOMEM, 0, "%zu series", selection->count));
    if (selection->count > 0)
        err = weir_reader_scan(call->reader, selection->numbers, selection->count, start_ms,
            end_ms < INT64_MAX ? end_ms + 1 : INT64_MAX, mark, &marks);
    if (err == WEIR_END && marks.left == 0)
        err = WEIR_OK;
    if (err == WEIR_OK)
        err = keep_seen(selection, &marks);
    free(marks.seen);
    return err == WEIR_OK || fail(call, err);
}

bool
weir_selection_init(struct weir_call *call, struct weir_selection *selection)
{
    int64_t start_ms = INT64_MIN, end_ms = INT64_MAX;
    *selection = (struct weir_selection){.all = true};
    if (!weir_param_time(call, "start", false, &start_ms) ||
        !weir_param_time(call, "end", false, &end_ms) || !add_selectors(call, selection))
        return false;
    if (selection->all)
        selection->count = weir_reader_series_count(call->reader);
    return (start_ms == INT64_MIN && end_ms == INT64_MAX) ||
        narrow(call, selection, start_ms, end_ms);
}

void
weir_selection_fini(struct weir_selection *selection)
{
    free(selection->numbers);
    selection->numbers = NULL;
}
