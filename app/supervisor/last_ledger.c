#include "app/supervisor/parts.h"
#include "base/event.h"

static void
print_reasons(const char *unit, const char *class, const uint64_t *counts)
{
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        if (counts[reason] != 0)
            weir_event(WEIR_LEVEL_INFO, "ledger_reason", "unit=%s class=%s reason=%s count=%llu",
                unit, class, weir_reason_names[reason], (unsigned long long)counts[reason]);
}

/* The sums of the dataplane's last life, once it is gone: everything received is accounted for. */
void
weir_supervisor_print_ledger(struct weir_supervisor *supervisor)
{
    static struct weir_ledger_sum sum; /* static: reported even if memory is short */
    if (weir_ledger_read(&supervisor->shared->ledger, &sum) != WEIR_OK)
        return;
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        const struct weir_ledger_unit *total = &sum.total.unit[unit];
        uint64_t rejected = 0;
        uint64_t dropped = 0;
        for (int reason = 0; reason < WEIR_REASON_COUNT; reason++) {
            rejected += total->rejected[reason];
            dropped += total->dropped[reason];
        }
        weir_event(WEIR_LEVEL_INFO, "ledger",
            "unit=%s received=%llu stored=%llu rejected=%llu dropped=%llu in_flight=%llu "
            "residual=%lld", weir_unit_names[unit], (unsigned long long)total->received,
            (unsigned long long)total->stored, (unsigned long long)rejected,
            (unsigned long long)dropped, (unsigned long long)sum.in_flight[unit],
            (long long)sum.residual[unit]);
    }
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++) {
        print_reasons(weir_unit_names[unit], "rejected", sum.total.unit[unit].rejected);
        print_reasons(weir_unit_names[unit], "dropped", sum.total.unit[unit].dropped);
    }
}
