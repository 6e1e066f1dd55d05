#include "controlplane/promql/plan/annotations.h"
#include "controlplane/promql/plan/query.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* "PromQL info: ... (1:6)" in the arena; NULL without memory. *bare: its size without the place. */
static const char *
compose(struct weir_promql_query *query, enum weir_promql_annotation_id id,
    struct weir_promql_range at, uint32_t *bare, va_list arguments)
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
    *bare = (uint32_t)(strlen(texts[id].kind) + (size_t)size);
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
    uint32_t bare;
    const char *text = compose(query, id, at, &bare, arguments);
    va_end(arguments);
    if (text == NULL)
        return WEIR_NOMEM;
    struct weir_promql_annotation **link = &answer->annotations;
    for (; *link != NULL; link = &(*link)->next) {
        if ((*link)->bare != bare || memcmp((*link)->text, text, bare) != 0)
            continue;
        (*link)->text = text; /* the last place stands, as in the reference */
        return WEIR_OK;
    }
    struct weir_promql_annotation *annotation =
        weir_promql_arena_alloc(&query->arena, sizeof *annotation);
    if (annotation == NULL)
        return WEIR_NOMEM;
    annotation->text = text;
    annotation->bare = bare;
    annotation->is_info = is_info(id);
    *link = annotation;
    if (annotation->is_info)
        answer->info_count++;
    else
        answer->warning_count++;
    return WEIR_OK;
}

struct weir_promql_noted_fix {
    struct weir_promql_noted_fix *next;
    struct weir_promql_text metric;
    struct weir_promql_range at;
    struct weir_promql_fix fix;
};

/* The fix noted for the metric and place; an empty one is added where there is none. */
static struct weir_promql_noted_fix *
find_fix(struct weir_promql_query *query, struct weir_promql_text metric,
    struct weir_promql_range at)
{
    struct weir_promql_noted_fix **link = &query->fixes;
    for (; *link != NULL; link = &(*link)->next)
        if ((*link)->at.start == at.start && weir_promql_text_equal((*link)->metric, metric))
            return *link;
    struct weir_promql_noted_fix *noted = weir_promql_arena_alloc(&query->arena, sizeof *noted);
    if (noted != NULL)
        *noted = (struct weir_promql_noted_fix){.metric = metric, .at = at};
    return *link = noted;
}

enum weir_err
weir_promql_note_fix(struct weir_promql_query *query, struct weir_promql_text metric,
    struct weir_promql_range at, const struct weir_promql_fix *fix)
{
    struct weir_promql_noted_fix *noted = find_fix(query, metric, at);
    if (noted == NULL)
        return WEIR_NOMEM;
    struct weir_promql_fix *all = &noted->fix;
    if (all->samples == 0) {
        *all = *fix;
        return WEIR_OK;
    }
    all->bound_min = fmin(all->bound_min, fix->bound_min);
    all->bound_max = fmax(all->bound_max, fix->bound_max);
    all->difference_max = fmax(all->difference_max, fix->difference_max);
    all->first_ms = fix->first_ms < all->first_ms ? fix->first_ms : all->first_ms;
    all->last_ms = fix->last_ms > all->last_ms ? fix->last_ms : all->last_ms;
    all->samples += fix->samples;
    return WEIR_OK;
}

/* 2023-12-25T00:00:00Z (RFC 3339) */
static void
time_text(int64_t time_ms, char out[40])
{
    time_t seconds = (time_t)(time_ms / 1000 - (time_ms % 1000 < 0));
    struct tm parts;
    out[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL)
        strftime(out, 40, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static enum weir_err
annotate_fix(struct weir_promql_query *query, const struct weir_promql_noted_fix *noted)
{
    const struct weir_promql_fix *fix = &noted->fix;
    char least[WEIR_PROMQL_DOUBLE_MAX + 1], most[WEIR_PROMQL_DOUBLE_MAX + 1];
    char first[40], last[40];
    const char *metric = "";
    least[weir_promql_double(fix->bound_min, false, least)] = '\0';
    most[weir_promql_double(fix->bound_max, false, most)] = '\0';
    time_text(fix->first_ms, first);
    time_text(fix->last_ms, last);
    if (noted->metric.size > 0) {
        const char *quoted = weir_promql_quoted(&query->arena, noted->metric);
        metric = quoted == NULL
            ? NULL
            : weir_promql_format(&query->arena, " for metric name %s", quoted);
    }
    const char *text = metric == NULL
        ? NULL
        : weir_promql_format(&query->arena,
              "%s, from buckets %s to %s, with a max diff of %.2g, over %llu samples from %s to %s",
              metric, least, most, fix->difference_max, (unsigned long long)fix->samples, first,
              last);
    return text == NULL ? WEIR_NOMEM
                        : weir_promql_annotate(query,
                              WEIR_PROMQL_ANNOTATION_FORCED_MONOTONICITY, noted->at, text);
}

enum weir_err
weir_promql_annotate_fixes(struct weir_promql_query *query)
{
    enum weir_err err = WEIR_OK;
    for (const struct weir_promql_noted_fix *noted = query->fixes; err == WEIR_OK && noted != NULL;
         noted = noted->next)
        err = annotate_fix(query, noted);
    return err;
}
