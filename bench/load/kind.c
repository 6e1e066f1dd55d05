#include "bench/load/kind.h"

const char *const weir_bench_regions[WEIR_BENCH_REGIONS] = {
    "eu-west-1", "eu-north-1", "us-east-1", "ap-south-1"};

static uint64_t
gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void
weir_bench_pass_begin(struct weir_bench_load *load)
{
    load->at = 0;
    load->order = weir_bench_mix(load->pass) % load->host_count;
    load->stride = 1 + weir_bench_mix(~load->pass) % load->host_count;
    while (gcd(load->stride, load->host_count) != 1)
        load->stride++;
}

uint64_t
weir_bench_load_host(const struct weir_bench_load *load, uint64_t ahead)
{
    return ((load->at + ahead) * load->stride + load->order) % load->host_count;
}

void
weir_bench_load_advance(struct weir_bench_load *load)
{
    if (++load->at < load->host_count)
        return;
    load->pass++;
    load->turn++;
    weir_bench_pass_begin(load);
}

uint32_t
weir_bench_load_host_series(const struct weir_bench_load *load, uint64_t host)
{
    uint64_t left = load->series - host * load->kind->host_series;
    return left < load->kind->host_series ? (uint32_t)left : load->kind->host_series;
}

/* Hosts report at times of their own within a step. */
int64_t
weir_bench_kind_time_ms(const struct weir_bench_load_kind *kind, int64_t start_ms, int64_t step_ms,
    uint64_t series, uint64_t pass)
{
    uint64_t host = series / kind->host_series;
    int64_t own_ms = (int64_t)(weir_bench_mix(~host) % (uint64_t)step_ms);
    return start_ms + (int64_t)pass * step_ms + own_ms - own_ms % kind->unit_ms;
}
