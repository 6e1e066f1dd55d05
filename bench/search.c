#include "bench/search.h"

#define RATES_BISECTED 6
#define LIMITS_CLOSE 0.94
#define STEP_DOWN 0.93
#define CLEAN_WANTED 2
/* A generator that sent less than this share of its packets gives no more. */
#define SENT_ENOUGH 0.98

void
weir_bench_search_init(struct weir_bench_search *search, double high)
{
    *search = (struct weir_bench_search){
        .state = WEIR_BENCH_BISECT, .rate = high / 2, .high = high};
}

double
weir_bench_search_below(double rate)
{
    return rate * STEP_DOWN;
}

static void
bisect(struct weir_bench_search *search, double sent, double loss)
{
    bool clean = loss <= WEIR_BENCH_LOSS_MAX;
    bool disturbed = !clean && loss <= WEIR_BENCH_LOSS_GREAT;
    double done = sent < search->rate ? sent : search->rate;
    if (clean && done > search->low)
        search->low = done;
    if ((disturbed || sent < search->rate * SENT_ENOUGH) && !search->repeated) {
        search->repeated = true;
        return;
    }
    search->repeated = false;
    if (!clean)
        search->high = search->rate;
    if (sent < search->rate * SENT_ENOUGH && search->high > sent)
        search->high = sent;
    if (search->high < search->low) /* the same rate went well before: confirming will decide */
        search->high = search->low;
    bool last = ++search->rates == RATES_BISECTED || search->low >= search->high * LIMITS_CLOSE;
    if (!last) {
        search->rate = search->low + (search->high - search->low) / 2;
    } else {
        search->rate = search->low;
        search->state = search->low > 0 ? WEIR_BENCH_CONFIRM : WEIR_BENCH_SEARCHED;
    }
}

static void
confirm(struct weir_bench_search *search, double loss)
{
    if (loss > WEIR_BENCH_LOSS_MAX) {
        search->rate = weir_bench_search_below(search->rate);
        search->clean = 0;
    } else if (++search->clean == CLEAN_WANTED) {
        search->confirmed = true;
    }
    if (search->confirmed || search->trials == WEIR_BENCH_TRIALS_MAX)
        search->state = WEIR_BENCH_SEARCHED;
}

void
weir_bench_search_note(struct weir_bench_search *search, double sent, double loss)
{
    search->trials++;
    if (search->state == WEIR_BENCH_BISECT)
        bisect(search, sent, loss);
    else if (search->state == WEIR_BENCH_CONFIRM)
        confirm(search, loss);
}
