/* What the generator writes is what the checker expects: every line is parsed back by hand. */
#include "base/crc.h"
#include "bench/load/kind.h"
#include "bench/load/load.h"
#include "client/wire.h"
#include "model/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERIES 1003 /* the last host has fewer lines */
#define START_MS INT64_C(1700000000000)
#define STEP_MS 1000

/* The series of a host's metric. */
static uint64_t
series_of(enum weir_bench_proto proto, const char *host, const char *metric)
{
    struct weir_label labels[] = {{(const uint8_t *)"host", (const uint8_t *)host, 4, 12},
        {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)metric, 8, (uint16_t)strlen(metric)}};
    uint8_t canonical[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t series;
    assert_int_equal(weir_labels_encode(labels, 2, canonical, &size), WEIR_OK);
    assert_true(weir_bench_series_of(proto, canonical, size, &series));
    return series;
}

/* A host's other labels follow from its number, and stand between it and the value. */
static void
check_tags(const char *line, char tag, uint64_t series)
{
    uint64_t host = series / 12;
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%cjob=weir-bench%chost=node-%07u%cregion=%s%crack=r%02u ", tag,
        tag, (unsigned)host, tag, weir_bench_regions[host % WEIR_BENCH_REGIONS], tag,
        (unsigned)(host / WEIR_BENCH_REGIONS % WEIR_BENCH_RACKS));
    assert_non_null(strstr(line, wanted));
}

/* Series, value and time of "m,job=..,host=node-N,.. f=V T". */
static uint64_t
read_influx(char *line, double *value, int64_t *time_ms)
{
    char *host = strstr(line, "host=");
    char *field = strchr(line, ' ') + 1;
    char *equals = strchr(field, '=');
    char metric[64];
    assert_non_null(host);
    snprintf(metric, sizeof metric, "%.*s_%.*s", (int)strcspn(line, ","), line,
        (int)(equals - field), field);
    char *end;
    *value = strtod(equals + 1, &end);
    end += *end == 'i';
    assert_int_equal(*end, ' ');
    *time_ms = strtoll(end + 1, &end, 10) / 1000000;
    assert_int_equal(*end, '\0');
    return series_of(WEIR_BENCH_INFLUX, host + 5, metric);
}

/* Those of "name;job=..;host=node-N;.. V T", T in seconds. */
static uint64_t
read_graphite(char *line, double *value, int64_t *time_ms)
{
    char *host = strstr(line, ";host=");
    char metric[64];
    assert_non_null(host);
    size_t name = strcspn(line, ";");
    assert_true(name < sizeof metric);
    memcpy(metric, line, name);
    metric[name] = '\0';
    char *end;
    *value = strtod(strchr(line, ' ') + 1, &end);
    assert_int_equal(*end, ' ');
    *time_ms = strtoll(end + 1, &end, 10) * 1000;
    assert_int_equal(*end, '\0');
    return series_of(WEIR_BENCH_GRAPHITE, host + 6, metric);
}

static void
check_lines(enum weir_bench_proto proto, int64_t step_ms,
    uint64_t (*read_line)(char *line, double *value, int64_t *time_ms))
{
    struct weir_bench_load *load;
    assert_int_equal(weir_bench_load_new(proto, SERIES, START_MS, step_ms, &load), WEIR_OK);
    static uint8_t seen[SERIES];
    for (uint64_t pass = 0; pass < 40; pass++) {
        memset(seen, 0, sizeof seen);
        while (weir_bench_load_passes(load) == pass) {
            char packet[WEIR_BENCH_PACKET_MAX + 1];
            uint32_t samples;
            size_t size = weir_bench_load_next(load, (uint8_t *)packet, &samples);
            packet[size] = '\0';
            char *next = packet;
            for (uint32_t i = 0; i < samples; i++) {
                char *line = next;
                next = strchr(line, '\n');
                assert_non_null(next);
                *next++ = '\0';
                double value;
                int64_t time_ms;
                uint64_t series = read_line(line, &value, &time_ms);
                assert_true(series < SERIES);
                check_tags(line, proto == WEIR_BENCH_INFLUX ? ',' : ';', series);
                assert_true(weir_double_bits(value) ==
                    weir_double_bits(weir_bench_value(proto, series, pass)));
                assert_int_equal(time_ms,
                    weir_bench_time_ms(proto, START_MS, step_ms, series, pass));
                seen[series]++;
            }
            assert_int_equal(*next, '\0');
        }
        for (uint64_t series = 0; series < SERIES; series++)
            assert_int_equal(seen[series], 1); /* each series once a pass */
    }
    weir_bench_load_free(load);
}

static void
test_every_line_says_what_the_checker_computes(void **state)
{
    (void)state;
    check_lines(WEIR_BENCH_INFLUX, STEP_MS, read_influx);
    check_lines(WEIR_BENCH_GRAPHITE, STEP_MS, read_graphite);
    check_lines(WEIR_BENCH_GRAPHITE, 10 * STEP_MS, read_graphite); /* hosts differ in their time */
}

static void
test_times_are_whole_numbers_of_the_protocols_unit(void **state)
{
    (void)state;
    assert_int_equal(weir_bench_time_whole_ms(WEIR_BENCH_GRAPHITE, START_MS - 999), START_MS);
    assert_int_equal(weir_bench_time_whole_ms(WEIR_BENCH_GRAPHITE, START_MS), START_MS);
    assert_int_equal(weir_bench_time_whole_ms(WEIR_BENCH_INFLUX, START_MS + 1), START_MS + 1);
    /* passes over few series: as near together as times can be written */
    assert_int_equal(weir_bench_step_ms(WEIR_BENCH_INFLUX, 99999), 1);
    assert_int_equal(weir_bench_step_ms(WEIR_BENCH_WEIR, 100000), 1000);
    assert_int_equal(weir_bench_step_ms(WEIR_BENCH_GRAPHITE, 1), 1000);
}

#define WORKERS 3
#define HOSTS ((SERIES + 11) / 12)

/* Restarts do not count: what a host's worker is goes on from pass to pass. */
static void
test_hosts_change_worker_and_are_dealt_evenly(void **state)
{
    (void)state;
    struct weir_bench_load *load;
    assert_int_equal(weir_bench_load_new(WEIR_BENCH_INFLUX, SERIES, START_MS, STEP_MS, &load),
        WEIR_OK);
    uint32_t last[HOSTS];
    for (unsigned pass = 0; pass < 2 * WORKERS; pass++) {
        unsigned dealt[WORKERS] = {0};
        if (pass % 2 == 0)
            weir_bench_load_restart(load, START_MS + pass * STEP_MS);
        for (unsigned i = 0; i < HOSTS; i++) {
            uint8_t packet[WEIR_BENCH_PACKET_MAX];
            uint32_t samples;
            uint64_t host = weir_bench_load_host(load, 0);
            uint32_t worker = weir_bench_load_worker(load, WORKERS);
            assert_true(host < HOSTS && worker < WORKERS);
            assert_true(pass == 0 || worker != last[host]);
            last[host] = worker;
            dealt[worker]++;
            weir_bench_load_next(load, packet, &samples);
        }
        for (unsigned i = 0; i < WORKERS; i++)
            assert_in_range(dealt[i], HOSTS / WORKERS / 2, HOSTS / WORKERS * 2);
    }
    weir_bench_load_free(load);
}

/* Header, checksum and the one record of a packet. */
static struct weir_wire_record
read_packet(const uint8_t *packet, size_t size, struct weir_wire_header *header)
{
    struct weir_wire_record record;
    memcpy(header, packet, sizeof *header);
    memcpy(&record, packet + sizeof *header, sizeof record);
    uint32_t crc = weir_crc32c_portable(0, packet, offsetof(struct weir_wire_header, crc));
    assert_int_equal(header->crc,
        weir_crc32c_portable(crc, packet + sizeof *header, size - sizeof *header));
    assert_int_equal(header->magic, WEIR_WIRE_MAGIC);
    assert_int_equal(header->length, size);
    assert_int_equal(sizeof *header + record.length, size);
    return record;
}

#define AGENTS ((SERIES + 199) / 200)

struct agent {
    uint64_t sender;
    uint32_t hash;
    uint64_t sequence;
};

/* Index of the agent with this id; known ones first. */
static unsigned
agent_index(const struct agent *agents, uint64_t sender)
{
    for (unsigned i = 0; i < AGENTS; i++)
        if (agents[i].sender == sender)
            return i;
    fail_msg("nobody defined sender %llu", (unsigned long long)sender);
    return 0;
}

/* Reads the labels of a definition back: they name the series in the order of their indexes. */
static void
read_definition(const uint8_t *data, const struct weir_wire_record *record, uint64_t first,
    uint8_t *seen)
{
    const uint8_t *at = data + sizeof *record;
    uint16_t common, own;
    memcpy(&common, at, sizeof common);
    const uint8_t *list = at + 2;
    at = list + common;
    for (unsigned i = 0; i < record->count; i++) {
        uint8_t labels[WEIR_LABELS_BYTES_MAX];
        uint64_t series;
        memcpy(&own, at, sizeof own);
        memcpy(labels, list, common);
        memcpy(labels + common, at + 2, own);
        assert_true(weir_bench_series_of(WEIR_BENCH_WEIR, labels, (size_t)common + own, &series));
        assert_int_equal(series, first + record->first + i);
        seen[series]++;
        at += 2 + own;
    }
    assert_ptr_equal(at, data + record->length);
}

static void
define_all(struct weir_bench_load *load, struct agent *agents)
{
    static uint8_t seen[SERIES];
    uint8_t packet[WEIR_BENCH_PACKET_MAX];
    size_t size;
    unsigned agent = 0;
    memset(seen, 0, sizeof seen);
    while ((size = weir_bench_load_define(load, packet)) > 0) {
        struct weir_wire_header header;
        struct weir_wire_record record = read_packet(packet, size, &header);
        assert_int_equal(record.type, WEIR_WIRE_DEFINITION);
        assert_int_equal(header.flags, WEIR_WIRE_UNNUMBERED);
        if (record.first == 0)
            agents[agent] = (struct agent){header.sender, record.template_hash, 0};
        read_definition(packet + sizeof header, &record, agent * 200, seen);
        agent += record.first + record.count == record.total;
    }
    assert_int_equal(agent, AGENTS);
    for (unsigned i = 0; i < SERIES; i++)
        assert_int_equal(seen[i], 1);
}

static void
test_every_packet_says_what_the_checker_computes(void **state)
{
    (void)state;
    struct weir_bench_load *load;
    struct agent agents[AGENTS];
    assert_int_equal(weir_bench_load_new(WEIR_BENCH_WEIR, SERIES, START_MS, STEP_MS, &load),
        WEIR_OK);
    define_all(load, agents);
    define_all(load, agents); /* as often as one likes */
    for (uint64_t pass = 0; pass < 5; pass++) {
        uint64_t reported = 0;
        while (weir_bench_load_passes(load) == pass) {
            uint8_t packet[WEIR_BENCH_PACKET_MAX];
            uint32_t samples;
            size_t size = weir_bench_load_next(load, packet, &samples);
            struct weir_wire_header header;
            struct weir_wire_record record = read_packet(packet, size, &header);
            unsigned agent = agent_index(agents, header.sender);
            assert_int_equal(record.type, WEIR_WIRE_GROUP);
            assert_int_equal(record.count, samples);
            assert_int_equal(record.template_hash, agents[agent].hash);
            assert_int_equal(header.sequence, ++agents[agent].sequence);
            for (unsigned i = 0; i < samples; i++) {
                uint64_t series = agent * 200 + record.first + i, bits;
                memcpy(&bits, packet + sizeof header + WEIR_WIRE_GROUP_HEAD + i * 8, sizeof bits);
                assert_true(bits ==
                    weir_double_bits(weir_bench_value(WEIR_BENCH_WEIR, series, pass)));
                assert_int_equal(header.base_time_ms,
                    weir_bench_time_ms(WEIR_BENCH_WEIR, START_MS, STEP_MS, series, pass));
            }
            reported += samples;
        }
        assert_int_equal(reported, SERIES);
    }
    weir_bench_load_free(load);
}

static void
test_passes_differ_in_order_time_and_values(void **state)
{
    (void)state;
    for (enum weir_bench_proto proto = 0; proto < WEIR_BENCH_PROTOS; proto++) {
        uint64_t same = 0;
        for (uint64_t series = 0; series < SERIES; series++) {
            same += weir_bench_value(proto, series, 3) == weir_bench_value(proto, series, 4);
            assert_true(weir_bench_time_ms(proto, START_MS, STEP_MS, series, 4) >
                weir_bench_time_ms(proto, START_MS, STEP_MS, series, 3));
        }
        assert_true(same < SERIES / 20);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_says_what_the_checker_computes),
        cmocka_unit_test(test_times_are_whole_numbers_of_the_protocols_unit),
        cmocka_unit_test(test_hosts_change_worker_and_are_dealt_evenly),
        cmocka_unit_test(test_every_packet_says_what_the_checker_computes),
        cmocka_unit_test(test_passes_differ_in_order_time_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
