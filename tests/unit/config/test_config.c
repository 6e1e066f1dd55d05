/* Configuration: the file, the options, and what is said about mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a configuration says, without where that came from. */
#define CONFIGURED offsetof(struct weir_config, origin)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char path[] = "/tmp/weir-test-config-XXXXXX";

static int
make_file(void **state)
{
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0)
        return -1;
    return close(fd);
}

static int
remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void
write_file(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
assert_detail(const char *part)
{
    if (strstr(weir_err_detail(), part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, weir_err_detail());
}

/* weir_config_arguments takes what main() gets, which string literals are not. */
static enum weir_err
arguments(struct weir_config *config, const char *const *options, size_t count)
{
    char *argv[64];
    for (size_t i = 0; i < count; i++)
        argv[i] = (char *)(uintptr_t)options[i];
    return weir_config_arguments(config, (int)count, argv);
}

static void
test_config_file_with_every_key_gives_the_defaults(void **state)
{
    (void)state;
    struct weir_config expected;
    struct weir_config loaded;
    weir_config_init(&expected);
    memset(&loaded, 0, sizeof loaded); /* so that a key missing in the file shows */
    if (weir_config_load(&loaded, WEIR_SOURCE_ROOT "/weir.yaml") != WEIR_OK)
        fail_msg("%s", weir_err_detail());
    assert_memory_equal(&loaded, &expected, CONFIGURED);
    assert_int_equal(weir_config_check(&loaded), WEIR_OK);
}

static void
print_and_load(const struct weir_config *config)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    weir_config_print(config, file);
    assert_int_equal(fclose(file), 0);
    struct weir_config loaded;
    memset(&loaded, 0, sizeof loaded);
    if (weir_config_load(&loaded, path) != WEIR_OK)
        fail_msg("%s", weir_err_detail());
    assert_memory_equal(&loaded, config, CONFIGURED);
}

static void
test_config_print_loads_back_to_the_same(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    print_and_load(&config);
    const char *const options[] = {"--data", "/var/lib/a \"b\" \\c", "--http",
        "[0:0::1]:80", "--influx-udp",
        "[::]:9,unit=s", "--graphite-tcp=0.0.0.0:10,unit=ns", "--port",
        "net_af_packet0,iface=veth0", "--port", "net_pcap0,rx_pcap=a b", "--cores", "0",
        "--pin", "false", "--no-huge", "--series-max", "12_345", "--log-size-max", "1025MiB",
        "--flush-interval", "1500ms", "--retention-raw", "36h", "--io", "sync", "--log-level",
        "debug", "--workers", "1", "--eal-memory", "1GiB", "--frame-ring", "40MiB",
        "--trusted-sources", "10.0.0.0/8,2001:db8::/33,192.0.2.7", "--http-hosts",
        "*,.a.example,b", "--http-answers-max", "7MiB"};
    if (arguments(&config, options, COUNT(options)) != WEIR_OK)
        fail_msg("%s", weir_err_detail());
    print_and_load(&config);
    const char *const bare[] = {"--http", "none", "--influx-udp", "none", "--port", "none",
        "--trusted-sources", "none"};
    assert_int_equal(arguments(&config, bare, COUNT(bare)), WEIR_OK);
    print_and_load(&config);
}

/* For one release. */
static void
test_config_key_that_went_is_taken_and_not_printed(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    const char *const options[] = {"--series-label-bytes", "512MiB"};
    if (arguments(&config, options, COUNT(options)) != WEIR_OK)
        fail_msg("%s", weir_err_detail());
    assert_int_equal(config.series_label_bytes, 512 << 20);
    config.series_label_bytes = 0;
    print_and_load(&config);
}

static void
test_config_options_set_fields(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    const char *const options[] = {"--influx-udp", "127.0.0.1:1111,unit=s",
        "--influx-udp", "[::1]:1111",
        "--graphite-udp", "127.0.0.1:2222", "--log-size-max", "3GiB", "--cores", "1,3-5",
        "--log-full", "recycle",
        "--series-max", "2000000", "--io=io_uring"};
    if (arguments(&config, options, COUNT(options)) != WEIR_OK)
        fail_msg("%s", weir_err_detail());
    assert_int_equal(config.listener_count, 3);
    assert_string_equal(config.listeners[0].address, "127.0.0.1");
    assert_int_equal(config.listeners[0].port, 1111);
    assert_int_equal(config.listeners[0].time_unit, WEIR_TIME_S);
    assert_string_equal(config.listeners[1].address, "::1");
    assert_int_equal(config.listeners[1].time_unit, WEIR_TIME_AUTO);
    assert_int_equal(config.listeners[2].proto, WEIR_PROTO_GRAPHITE);
    assert_int_equal(config.listeners[2].transport, WEIR_CONFIG_UDP);
    assert_int_equal(config.log_size_max, UINT64_C(3) << 30);
    assert_int_equal(config.log_full, WEIR_CONFIG_RECYCLE);
    assert_int_equal(config.core_count, 4);
    assert_int_equal(config.cores[3], 5);
    assert_int_equal(config.series_max, 2000000);
    assert_int_equal(config.io_backend, 1);
}

static bool
trusts(const struct weir_config *config, const uint8_t address[4])
{
    struct weir_peer peer = {.port = 1};
    struct weir_prefixes trusted = weir_config_trusted(config);
    weir_peer_set_ipv4(&peer, address);
    return weir_prefixes_hold(&trusted, &peer);
}

static void
test_config_trusts_loopback_unless_told_otherwise(void **state)
{
    (void)state;
    static const uint8_t loopback[] = {127, 0, 0, 2}, relay[] = {10, 9, 8, 7};
    struct weir_config config;
    weir_config_init(&config);
    assert_true(trusts(&config, loopback));
    assert_false(trusts(&config, relay));
    write_file("ingest: {trusted_sources: [10.0.0.0/8, \"::1\"]}\n");
    assert_int_equal(weir_config_load(&config, path), WEIR_OK);
    assert_int_equal(config.trusted_source_count, 2);
    assert_false(trusts(&config, loopback));
    assert_true(trusts(&config, relay));
    const char *const options[] = {"--trusted-sources", "none"};
    assert_int_equal(arguments(&config, options, COUNT(options)), WEIR_OK);
    assert_int_equal(config.trusted_source_count, 0);
    assert_false(trusts(&config, relay));
}

static void
test_config_options_stand_over_the_file_wherever_it_is_named(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    write_file("data: from-file\nseries: {max: 5}\n");
    const char *const options[] = {"--data", "from-option", "--config", path};
    assert_int_equal(arguments(&config, options, COUNT(options)), WEIR_OK);
    assert_string_equal(config.data, "from-option");
    assert_int_equal(config.series_max, 5);
}

static void
test_config_file_errors_name_file_line_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *part;
    } cases[] = {
        {"data: a\nhttp: localhost:1\n", ":2: http: ", "no numeric address"},
        {"http: 127.0.0.1:65536\n", ":1: http: ", "no port"},
        {"http: 127.0.0.1:0\n", ":1: http: ", "no port"},
        {"http: 127.0.0.1\n", ":1: http: ", "no address"},
        {"http: ::1:80\n", ":1: http: ", "no numeric address"},
        {"http: [1]\n", ":1: http: ", "section"},
        {"http:\n  address: 127.0.0.1\n", ":2: http.address: ", "no address"},
        {"http:\n  hosts: weir\n", ":2: http.hosts: ", "a list"},
        {"http: {hosts: ['a b']}\n", ":1: http.hosts: ", "'a b' is no name like"},
        {"http: {hosts: ['*.example']}\n", ":1: http.hosts: ", "no name like"},
        {"http: {hosts: ['weir:9880']}\n", ":1: http.hosts: ", "no name like"},
        {"http: {hosts: ['']}\n", ":1: http.hosts: ", "no name like"},
        {"http: {cors: ['a.example']}\n", ":1: http.cors: ", "'a.example' is no origin like"},
        {"http: {cors: ['https://a.example/']}\n", ":1: http.cors: ", "no origin like"},
        {"http: {cors: ['https://']}\n", ":1: http.cors: ", "no origin like"},
        {"http: {answers_max: 1KiB}\n", ":1: http.answers_max: ", "at least 1MiB"},
        {"http: {adress: none}\n", ":1: http.adress: ", "is http.address meant?"},
        {"series:\n  maximum: 4\n", ":2: series.maximum: ", "is series.max meant?"},
        {"serie:\n  max: 4\n", ":1: serie: ", "is series meant?"},
        {"zzzzzzzzzz: 4\n", ":1: zzzzzzzzzz: ", "unknown key"},
        {"series:\n  max: many\n", ":2: series.max: ", "no whole number"},
        {"series:\n  max: 0\n", ":2: series.max: ", "out of range"},
        {"series:\n  max: 99999999999999999999\n", ":2: series.max: ", "no whole number"},
        {"series:\n  max: -1\n", ":2: series.max: ", "no whole number"},
        {"series:\n  max: [1]\n", ":2: series.max: ", "single value"},
        {"series: 4\n", ":1: series: ", "section"},
        {"log:\n  size_max: 16\n", ":2: log.size_max: ", "add a unit: 16MiB"},
        {"retention:\n  raw: 10\n", ":2: retention.raw: ", "add a unit: 10s"},
        {"log:\n  size_max: 16GB\n", ":2: log.size_max: ", "no size like"},
        {"log:\n  size_max: 99999999999TiB\n", ":2: log.size_max: ", "out of range"},
        {"log:\n  io: fast\n", ":2: log.io: ", "none of auto, io_uring, sync"},
        {"retention:\n  raw: 7 days\n", ":2: retention.raw: ", "no time like"},
        {"retention:\n  raw: 5s\n", ":2: retention.raw: ", "at least 1m"},
        {"dataplane:\n  eal_memory: 100KiB\n", ":2: dataplane.eal_memory: ", "out of range"},
        {"dataplane:\n  eal_memory: 102401KiB\n", ":2: dataplane.eal_memory: ", "whole number"},
        {"dataplane:\n  pin: maybe\n", ":2: dataplane.pin: ", "none of false, true"},
        {"dataplane:\n  cores: 3\n", ":2: dataplane.cores: ", "a list"},
        {"dataplane:\n  cores: [1, 1]\n", ":2: dataplane.cores: ", "twice"},
        {"data: a\ndata: b\n", ":2: data: ", "named twice"},
        {"data: ''\n", ":1: data: ", "empty"},
        {"data: \"a\\0b\"\n", ":1: data: ", "zero byte"},
        {"ports: ['']\n", ":1: ports: ", "DPDK device"},
        {"listeners:\n  - {proto: influx}\n", ":2: listeners: ", "all needed"},
        {"listeners:\n  - {proto: influx, transport: sctp, address: 127.0.0.1:1}\n",
            ":2: listeners.transport: ", "none of udp, tcp"},
        {"listeners:\n  - {protocol: influx}\n", ":2: listeners.protocol: ", "proto"},
        {"listeners:\n  - x\n", ":2: listeners: ", "each one is"},
        {"a: b: c\n", ":1: ", "mapping values"},
        {"data: [\n", ":", "parsing"},
        {"- a\n", ":1: file: ", "keys with values"},
        {"ingest:\n  trusted_sources:\n    - 10.0.0.1/8\n", ":3: ingest.trusted_sources: ",
            "'10.0.0.1/8' has bits set after"},
        {"ingest: {trusted_sources: none}\n", ":1: ingest.trusted_sources: ", "a list"},
        {"data: a\n---\ndata: b\n", ":3: file: ", "second document"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_config config;
        weir_config_init(&config);
        write_file(cases[i].text);
        if (weir_config_load(&config, path) != WEIR_INVALID)
            fail_msg("accepted: %s", cases[i].text);
        assert_detail(path);
        assert_detail(cases[i].line);
        assert_detail(cases[i].part);
    }
}

static void
test_config_http_is_an_address_or_a_section(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    write_file("http: 127.0.0.1:1\n");
    assert_int_equal(weir_config_load(&config, path), WEIR_OK);
    assert_int_equal(config.http_port, 1);
    write_file("http: none\n");
    assert_int_equal(weir_config_load(&config, path), WEIR_OK);
    assert_int_equal(config.http_port, 0);
    write_file("http:\n  address: 127.0.0.1:2\n  hosts: [Weir.Example, .Below.Example, '*']\n"
        "  answers_max: 8MiB\n");
    assert_int_equal(weir_config_load(&config, path), WEIR_OK);
    assert_int_equal(config.http_port, 2);
    assert_int_equal(config.http_host_count, 3);
    assert_string_equal(config.http_hosts[0], "weir.example");
    assert_string_equal(config.http_hosts[1], ".below.example");
    assert_string_equal(config.http_hosts[2], "*");
    assert_int_equal(config.http_answers_max, 8 << 20);
    const char *const options[] = {"--http-hosts", "a.example,b.example"};
    assert_int_equal(arguments(&config, options, 2), WEIR_OK);
    assert_int_equal(config.http_host_count, 2);
    assert_string_equal(config.http_hosts[1], "b.example");
    const char *const origins[] = {"--http-cors", "HTTPS://A.example:3000,http://[::1]:80"};
    assert_int_equal(arguments(&config, origins, 2), WEIR_OK);
    assert_int_equal(config.http_cors_count, 2);
    assert_string_equal(config.http_cors[0], "https://a.example:3000");
    assert_string_equal(config.http_cors[1], "http://[::1]:80");
    const char *const none[] = {"--http-hosts", "none"};
    assert_int_equal(arguments(&config, none, 2), WEIR_OK);
    assert_int_equal(config.http_host_count, 0);
    assert_int_equal(config.http_hosts[0][0], 0);
}

static void
test_config_option_errors_name_the_option(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *part;
    } cases[] = {
        {"--http", "9880", "--http: '9880' is no address"},
        {"--influx-udp", "127.0.0.1:1,unit=h", "--influx-udp: 'h' is none of auto, s"},
        {"--influx-udp", "127.0.0.1:1,s", "--influx-udp: ',s' is not ,unit="},
        {"--influx-upd", "127.0.0.1:1", "unknown option --influx-upd; is --influx-udp meant?"},
        {"--workers", "17", "--workers: 17 is out of range"},
        {"--cores", "5-3", "--cores: 3 is out of range"},
        {"--trusted-sources", "10.0.0.0/8,host", "--trusted-sources: 'host' is no prefix like"},
        {"--trusted-sources", "", "--trusted-sources: '' is no prefix like"},
        {"--http-hosts", "a,,b", "--http-hosts: '' is no name like"},
        {"--no-huge=yes", NULL, "--no-huge: takes no value"},
        {"--data", NULL, "--data: a value is missing"},
        {"data", "x", "'data' is no option"},
        {"--config", "/does/not/exist", "/does/not/exist: No such file"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_config config;
        weir_config_init(&config);
        const char *const options[] = {cases[i].option, cases[i].value};
        if (arguments(&config, options, cases[i].value != NULL ? 2 : 1) != WEIR_INVALID)
            fail_msg("accepted: %s", cases[i].option);
        assert_detail(cases[i].part);
    }
}

static void
test_config_check_names_file_line_and_key(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"\nhttp: 127.0.0.1:2003\n",
            ":2: http.address: 127.0.0.1 port 2003 is a listener's already"},
        {"http: 127.0.0.1:1\n"
         "listeners: [{proto: influx, transport: tcp, address: 127.0.0.1:1}]\n",
            ":2: listeners: tcp 127.0.0.1 port 1 is the HTTP API's already"},
        {"listeners:\n"
         "  - {proto: influx, transport: udp, address: 127.0.0.1:1}\n"
         "  - {proto: graphite, transport: udp, address: 127.0.0.1:1}\n",
            ":3: listeners: udp 127.0.0.1 port 1 is named twice"},
        {"ingest: {frame_ring: 1MiB}\n", ":1: ingest.frame_ring: "},
        {"ingest:\n  ack_interval: 1s\n", ":2: ingest.ack_interval: "},
        {"ingest:\n  flush_interval: 1ms\n", ":2: ingest.flush_interval: "},
        {"log: {segment_size: 16777217B}\n", ":1: log.segment_size: "},
        {"log:\n\n  size_max: 64MiB\n", ":3: log.size_max: "},
        {"log:\n  full: recycle\n  size_max: 128MiB\n",
            ":2: log.full: recycle needs"},
        {"log:\n  segment_size: 16GiB\n", ":2: log.segment_size: log.size_max of "},
        {"dataplane: {cores: [1023]}\n", ":1: dataplane.cores: core 1023"},
        {"ports:\n  - net_null0\n  - nonsense\n", ":3: ports: 'nonsense' is no DPDK"},
        {"ports: [net_null0, 'null0']\n", ":1: ports: 'null0' is no DPDK"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_config config;
        weir_config_init(&config);
        write_file(cases[i].text);
        if (weir_config_load(&config, path) != WEIR_OK)
            fail_msg("%s", weir_err_detail());
        if (weir_config_check(&config) != WEIR_INVALID)
            fail_msg("accepted: %s", cases[i].text);
        assert_detail(path);
        assert_detail(cases[i].part);
    }
}

/* The file is right, and the option over it is not: the option is named, not the file. */
static void
test_config_check_names_the_option(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *part;
    } cases[] = {
        {"--http", "127.0.0.1:1", "--http: 127.0.0.1 port 1 is a listener's already"},
        {"--graphite-tcp", "127.0.0.1:2", "--graphite-tcp: tcp 127.0.0.1 port 2 is the HTTP"},
        {"--log-size-max", "64MiB", "--log-size-max: "},
        {"--ack-interval", "1s", "--ack-interval: "},
        {"--flush-interval", "5ms", "--flush-interval: ingest.ack_interval is longer"},
        {"--cores", "1023", "--cores: core 1023"},
        {"--port", "nonsense", "--port: 'nonsense' is no DPDK"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_config config;
        weir_config_init(&config);
        write_file("http: 127.0.0.1:2\n"
                   "listeners: [{proto: influx, transport: tcp, address: 127.0.0.1:1}]\n"
                   "log: {size_max: 1GiB}\ningest: {ack_interval: 9ms}\n"
                   "dataplane: {cores: [0]}\nports: [net_null0]\n");
        const char *const options[] = {cases[i].option, cases[i].value, "--config", path};
        if (arguments(&config, options, COUNT(options)) != WEIR_OK)
            fail_msg("%s", weir_err_detail());
        if (weir_config_check(&config) != WEIR_INVALID)
            fail_msg("accepted: %s", cases[i].option);
        assert_detail(cases[i].part);
        assert_null(strstr(weir_err_detail(), path));
    }
}

static void
test_config_check_names_the_key_of_a_value_nobody_gave(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    config.data[0] = '\0';
    assert_int_equal(weir_config_check(&config), WEIR_INVALID);
    assert_string_equal(weir_err_detail(), "data: no directory named");
}

static void
test_config_doubts_what_receives_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part; /* NULL: no doubt */
    } cases[] = {
        {"", NULL},
        {"listeners: []\n", "listeners: there is none"},
        {"listeners: []\nports: [net_null0]\n", "listeners: there is none"},
        {"listeners: [{proto: influx, transport: tcp, address: 127.0.0.1:1}]\n", NULL},
        {"listeners: [{proto: influx, transport: tcp, address: 127.0.0.1:1}]\n"
         "ports: [net_null0]\n", "ports: "},
        {"ports: [net_null0]\n", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_config config;
        weir_config_init(&config);
        write_file(cases[i].text);
        assert_int_equal(weir_config_load(&config, path), WEIR_OK);
        assert_int_equal(weir_config_check(&config), WEIR_OK);
        const char *doubt = weir_config_doubt(&config);
        assert_true((doubt != NULL) == (cases[i].part != NULL));
        if (doubt != NULL)
            assert_non_null(strstr(doubt, cases[i].part));
    }
}

static char said[4096];

static void
note_mistake(const char *text)
{
    size_t used = strlen(said);
    snprintf(said + used, sizeof said - used, "%s\n", text);
}

static enum weir_err
collect(struct weir_config *config, unsigned *count, const char *const *options, size_t size)
{
    struct weir_config_mistakes mistakes = {.say = note_mistake};
    weir_config_init(config);
    said[0] = '\0';
    config->origin.mistakes = &mistakes;
    enum weir_err err = arguments(config, options, size);
    if (err == WEIR_OK)
        err = weir_config_check(config);
    *count = mistakes.count;
    return err;
}

static void
test_config_says_all_mistakes_at_once(void **state)
{
    (void)state;
    struct weir_config config;
    unsigned count;
    write_file("http: 9880\nseries: {max: 0, maximum: 1}\nlog:\n  size_max: 16\n  io: sync\n"
               "listeners:\n  - {proto: influx, transport: sctp, address: x}\n"
               "dataplane: {cores: [a, b]}\n");
    const char *const options[] = {"--config", path, "--workers", "99", "--what", "1"};
    assert_int_equal(collect(&config, &count, options, COUNT(options)), WEIR_INVALID);
    assert_string_equal(weir_err_detail(), "10 mistakes");
    static const char *const parts[] = {":1: http: ", ":2: series.max: ", ":2: series.maximum: ",
        ":4: log.size_max: ", ":7: listeners.transport: ", ":7: listeners.address: ",
        ":8: dataplane.cores: 'a'", ":8: dataplane.cores: 'b'", "--workers: ", "--what"};
    for (size_t i = 0; i < COUNT(parts); i++)
        if (strstr(said, parts[i]) == NULL)
            fail_msg("%s is not said in %s", parts[i], said);
    assert_int_equal(count, COUNT(parts));
    /* an option that is not known, or has no value, takes no other one away */
    const char *const words[] = {"--what", "--data", "--workers", "99", "word"};
    assert_int_equal(collect(&config, &count, words, COUNT(words)), WEIR_INVALID);
    assert_string_equal(said, "unknown option --what\n--data: a value is missing\n"
                              "--workers: 99 is out of range, at least 0 and at most 16\n"
                              "'word' is no option (they begin with --)\n");
    /* and of values that do not fit each other */
    write_file("ingest: {frame_ring: 1MiB, ack_interval: 1s}\nlog: {size_max: 64MiB}\n"
               "ports: [nonsense]\n");
    assert_int_equal(collect(&config, &count, options, 2), WEIR_INVALID);
    assert_int_equal(count, 4);
    write_file("data: a\n");
    assert_int_equal(collect(&config, &count, options, 2), WEIR_OK);
    assert_int_equal(count, 0);
}

static void
test_config_takes_weeks_and_years(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    const char *const weeks[] = {"--retention-raw", "2w"};
    const char *const years[] = {"--retention-raw", "1y"};
    assert_int_equal(arguments(&config, weeks, 2), WEIR_OK);
    assert_int_equal(config.retention_raw_ms, UINT64_C(14) * 86400000);
    assert_int_equal(arguments(&config, years, 2), WEIR_OK);
    assert_int_equal(config.retention_raw_ms, UINT64_C(365) * 86400000);
}

static void
test_config_file_that_is_a_directory_is_refused_as_one(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    assert_int_equal(weir_config_load(&config, "/"), WEIR_INVALID);
    assert_string_equal(weir_err_detail(), "/ is a directory; a file is wanted");
}

static void
test_config_frame_ring_follows_rate_unless_named(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    assert_int_equal(weir_config_frame_ring_bytes(&config), UINT64_C(115) << 20);
    config.rate_max = 1000;
    assert_int_equal(weir_config_frame_ring_bytes(&config), UINT64_C(32) << 20);
    config.frame_ring_bytes = UINT64_C(50) << 20;
    assert_int_equal(weir_config_frame_ring_bytes(&config), UINT64_C(50) << 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_file_with_every_key_gives_the_defaults),
        cmocka_unit_test(test_config_print_loads_back_to_the_same),
        cmocka_unit_test(test_config_key_that_went_is_taken_and_not_printed),
        cmocka_unit_test(test_config_options_set_fields),
        cmocka_unit_test(test_config_trusts_loopback_unless_told_otherwise),
        cmocka_unit_test(test_config_options_stand_over_the_file_wherever_it_is_named),
        cmocka_unit_test(test_config_file_errors_name_file_line_and_key),
        cmocka_unit_test(test_config_http_is_an_address_or_a_section),
        cmocka_unit_test(test_config_option_errors_name_the_option),
        cmocka_unit_test(test_config_check_names_file_line_and_key),
        cmocka_unit_test(test_config_check_names_the_option),
        cmocka_unit_test(test_config_check_names_the_key_of_a_value_nobody_gave),
        cmocka_unit_test(test_config_doubts_what_receives_nothing),
        cmocka_unit_test(test_config_says_all_mistakes_at_once),
        cmocka_unit_test(test_config_takes_weeks_and_years),
        cmocka_unit_test(test_config_file_that_is_a_directory_is_refused_as_one),
        cmocka_unit_test(test_config_frame_ring_follows_rate_unless_named),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
