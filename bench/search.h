/* search: which rate to try next, until one is found that loses next to nothing.
 *
 *   BISECT --six rates tried, or limits within 6 %--> CONFIRM --two trials in a row without
 *   loss, or no trials left--> OVER; BISECT --every rate lost frames--> OVER, with no rate
 *
 * The machine may be shared: a trial that lost a little, or whose generator was late, is
 * repeated once before its rate counts as too high. The rate that bisection found has to succeed
 * twice more; each time that it does not it is lowered by 7 %.
 *
 * Threads: one
 * Memory:  the struct
 * Limits:  WEIR_BENCH_TRIALS_MAX trials
 */
#ifndef WEIR_BENCH_SEARCH_H
#define WEIR_BENCH_SEARCH_H

#include <stdbool.h>

#define WEIR_BENCH_LOSS_MAX 1e-5
/* A trial that lost this share of its frames was above the limit, and not disturbed. */
#define WEIR_BENCH_LOSS_GREAT 1e-3
#define WEIR_BENCH_TRIALS_MAX 20

struct weir_bench_search {
    enum { WEIR_BENCH_BISECT, WEIR_BENCH_CONFIRM, WEIR_BENCH_SEARCHED } state;
    double rate;      /* of the next trial; at the end the rate found, 0 for none */
    double low, high; /* done without loss; not done */
    unsigned rates;   /* bisected */
    unsigned trials;
    unsigned clean;   /* trials in a row without loss, while confirming */
    bool repeated;    /* this trial is the rate's second */
    bool confirmed;
};

/* high: nothing above is tried. */
void weir_bench_search_init(struct weir_bench_search *search, double high);
/* A trial at search->rate sent so many frames a second and lost that share of them. */
void weir_bench_search_note(struct weir_bench_search *search, double sent, double loss);
/* One step down from `rate`. */
double weir_bench_search_below(double rate);

#endif
