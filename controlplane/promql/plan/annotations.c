#include "controlplane/promql/plan/annotations.h"
#include "controlplane/promql/plan/query.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *kind, *format;
} texts[] = {
#define WARNING "PromQL warning: "
#define INFO "PromQL info: "
#define WEIR_ANNOTATION(name, kind, format) {kind, format},
#include "controlplane/promql/plan/annotations.def"
#undef WEIR_ANNOTATION
};

static bool
is_info(enum weir_promql_annotation_id id)
{
    static const bool infos[] = {
#undef WARNING
#undef INFO
#define WARNING false
#define INFO true
#define WEIR_ANNOTATION(name, kind, format) kind,
#include "controlplane/promql/plan/annotations.def"
#undef WEIR_ANNOTATION
    };
    return infos[id];
}

/* "PromQL info: ... (1:6)" in the arena; NULL without memory. */
static const char *
compose(struct weir_promql_query *query, enum weir_promql_annotation_id id,
    struct weir_promql_range at, va_list arguments)
{
    uint32_t line, column;
    weir_promql_line_column(query, at.start, &line, &column);
    va_list again;
    va_copy(again, arguments);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int size = vsnprintf(NULL, 0, texts[id].format, again);
    va_end(again);
    char *middle = weir_promql_arena_alloc(&query->arena, (size_t)size + 1);
    if (middle == NULL)
        return NULL;
    vsnprintf(middle, (size_t)size + 1, texts[id].format, arguments);
#pragma GCC diagnostic pop
    return weir_promql_format(&query->arena, "%s%s (%u:%u)", texts[id].kind, middle, line, column);
}

enum weir_err
weir_promql_annotate(struct weir_promql_query *query, enum weir_promql_annotation_id id,
    struct weir_promql_range at, ...)
{
    struct weir_promql_answer *answer = query->answer;
    if (answer->warning_count + answer->info_count >= WEIR_PROMQL_ANNOTATIONS_MAX)
        return WEIR_OK;
    va_list arguments;
    va_start(arguments, at);
    const char *text = compose(query, id, at, arguments);
    va_end(arguments);
    if (text == NULL)
        return WEIR_NOMEM;
    const struct weir_promql_annotation **link = &answer->annotations;
    for (; *link != NULL; link = (const struct weir_promql_annotation **)&(*link)->next)
        if (strcmp((*link)->text, text) == 0)
            return WEIR_OK;
    struct weir_promql_annotation *annotation =
        weir_promql_arena_alloc(&query->arena, sizeof *annotation);
    if (annotation == NULL)
        return WEIR_NOMEM;
    annotation->text = text;
    annotation->is_info = is_info(id);
    *link = annotation;
    if (annotation->is_info)
        answer->info_count++;
    else
        answer->warning_count++;
    return WEIR_OK;
}
