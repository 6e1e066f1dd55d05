#include "base/condition.h"

enum weir_condition_news
weir_condition_met(struct weir_condition *condition, uint64_t count, int64_t now_ns)
{
    if (!condition->lasts) {
        *condition = (struct weir_condition){.lasts = true, .count = count, .begun_ns = now_ns,
            .met_ns = now_ns, .reported_ns = now_ns};
        return WEIR_CONDITION_BEGINS;
    }
    condition->count += count;
    condition->met_ns = now_ns;
    if (now_ns - condition->reported_ns < WEIR_CONDITION_NS)
        return WEIR_CONDITION_NOTHING;
    condition->reported_ns = now_ns;
    return WEIR_CONDITION_LASTS;
}

enum weir_condition_news
weir_condition_look(struct weir_condition *condition, int64_t now_ns)
{
    if (!condition->lasts || now_ns - condition->met_ns < WEIR_CONDITION_NS)
        return WEIR_CONDITION_NOTHING;
    condition->lasts = false;
    return WEIR_CONDITION_ENDS;
}
