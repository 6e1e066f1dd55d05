#include "bench/report/print.h"

#include <stdio.h>
#include <stdlib.h>

static void
print_table(json_t *report)
{
    const char *key;
    json_t *value;
    json_object_foreach (report, key, value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        printf("%-26s %s\n", key, text);
        free(text);
    }
}

void
weir_bench_print(json_t *report, bool as_json)
{
    if (!as_json) {
        print_table(report);
        return;
    }
    json_dumpf(report, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
}
