/* script: a PromQL test file as a list of commands. The language is that of the reference's test
 * files (README.md).
 *
 * Threads: one
 * Memory:  all in the caller's arena, which outlives the commands; the text is borrowed as long
 * Errors:  WEIR_INVALID with a line and a message; WEIR_NOMEM
 */
#ifndef WEIR_TESTS_PROMQL_SCRIPT_H
#define WEIR_TESTS_PROMQL_SCRIPT_H

#include "controlplane/promql/parse/series.h"
#include "controlplane/promql/source.h"

/* Points of one series, expanded. */
#define SCRIPT_POINTS_MAX 1000000

struct script_point {
    enum weir_promql_point_kind kind;
    double value;
    int64_t start_offset_ms; /* of its start time from its own */
    bool has_start;
};

struct script_series {
    struct weir_promql_label *labels; /* by rising name, none with an empty value */
    uint32_t label_count;
    struct script_point *points;
    uint32_t count;
    struct script_series *next;
};

enum script_check_kind {
    SCRIPT_FAIL,
    SCRIPT_WARN,
    SCRIPT_NO_WARN,
    SCRIPT_INFO,
    SCRIPT_NO_INFO,
    SCRIPT_ORDERED,
};

/* One line "expect ...". */
struct script_check {
    enum script_check_kind kind;
    bool has_text; /* else any text will do */
    bool is_regex; /* matches anywhere in the text; else the text is the message */
    struct weir_promql_text text;
    struct script_check *next;
};

struct script_eval {
    struct weir_promql_text query;
    bool is_range;                                          /* else instant, at start_ms */
    int64_t start_ms, end_ms, step_ms;                      /* of a range query */
    int64_t points_start_ms, points_end_ms, points_step_ms; /* of expected points */
    bool expects_points; /* "expect range vector": an instant query that answers points */
    bool expects_scalar, expects_string;
    double scalar;
    struct weir_promql_text string;
    struct script_series *series; /* in the order of the file */
    struct script_check *checks;
};

enum script_kind { SCRIPT_CLEAR, SCRIPT_LOAD, SCRIPT_EVAL };

struct script_command {
    enum script_kind kind;
    uint32_t line;                /* from 1 */
    int64_t step_ms;              /* LOAD */
    bool with_histograms;         /* LOAD: classic histograms are native ones too */
    struct script_series *series; /* LOAD */
    struct script_eval eval;
    struct script_command *next;
};

struct script {
    struct script_command *commands;
    uint32_t error_line;
    const char *error;
};

enum weir_err script_parse(struct weir_promql_arena *arena, const char *text, size_t size,
    struct script *out) WEIR_MUST_USE;

#endif
