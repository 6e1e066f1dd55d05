#include "bench/veth/frames.h"

#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "bench/xdp/generator.h"
#include "config/config.h"
#include "dataplane/port/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ETHERNET 14
#define IPV4 20
#define UDP 8
#define HEADERS (ETHERNET + IPV4 + UDP)
_Static_assert(HEADERS + WEIR_BENCH_PACKET_MAX <= sizeof(((struct weir_gen_slot *)0)->frame),
    "a packet fits its slot");
#define MAC_NEAR "02:00:00:00:00:02"
#define SOURCE_PORTS 1000
#define SOURCE_PORT_FIRST 30000
/* Frames are made as many at a time as are due after a sleep of this long: at 600,000 a second
 * they are 60, a quarter of the slots; waking up costs 3 us. */
#define TURN_NS 100000
#define SENT_WAIT_NS (INT64_C(10) * 1000000000)

extern char **environ;

_Static_assert(WEIR_BENCH_FRAMES_PAIRS_MAX <= WEIR_GEN_TARGETS_MAX, "a target for each pair");

struct pair {
    char near[IFNAMSIZ];
    char far[IFNAMSIZ];
    bool linked;
};

struct weir_bench_frames {
    struct pair pairs[WEIR_BENCH_FRAMES_PAIRS_MAX];
    uint32_t pair_count;
    bool addressed;
    uint8_t headers[HEADERS];
    struct weir_generator *generator;
    uint64_t committed;
    struct weir_bench_frames_counts counts;
    uint8_t lines[WEIR_BENCH_FRAMES_PAYLOAD_MAX + WEIR_BENCH_PACKET_MAX]; /* made, not in a frame */
    size_t lines_size;
    double own_seconds; /* CPU time of this thread at the start */
};

/* Runs a command of iproute2 and waits for it. */
static enum weir_err
ip(const char *const *arguments)
{
    pid_t pid;
    int status;
    int failed = posix_spawnp(&pid, "ip", NULL, NULL, (char *const *)(uintptr_t)arguments, environ);
    if (failed != 0)
        return weir_fail(WEIR_UNSUPPORTED, failed, "run ip");
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return weir_fail(WEIR_IO, 0, "ip %s %s failed", arguments[1], arguments[2]);
    return WEIR_OK;
}

static enum weir_err
make_addressed(const struct weir_bench_frames *frames)
{
    const char *near = frames->pairs[0].near;
    const char *mac[] = {"ip", "link", "set", near, "address", MAC_NEAR, NULL};
    const char *address[] = {"ip", "address", "add", WEIR_BENCH_FRAMES_ADDRESS "/24", "dev",
        near, NULL};
    enum weir_err err = ip(mac);
    if (err == WEIR_OK)
        err = ip(address);
    return err == WEIR_OK
               ? weir_generator_pass(frames->generator, if_nametoindex(near))
               : err;
}

static enum weir_err
make_link(struct weir_bench_frames *frames, uint32_t index)
{
    struct pair *pair = &frames->pairs[index];
    snprintf(pair->near, sizeof pair->near, "wbn%d_%u", (int)getpid() % 100000,
        index % WEIR_BENCH_FRAMES_PAIRS_MAX);
    snprintf(pair->far, sizeof pair->far, "wbf%d_%u", (int)getpid() % 100000,
        index % WEIR_BENCH_FRAMES_PAIRS_MAX);
    const char *add[] = {"ip", "link", "add", pair->near, "type", "veth", "peer", "name",
        pair->far, NULL};
    const char *near_up[] = {"ip", "link", "set", pair->near, "up", NULL};
    const char *far_up[] = {"ip", "link", "set", pair->far, "up", NULL};
    enum weir_err err = ip(add);
    pair->linked = err == WEIR_OK;
    if (err == WEIR_OK && frames->addressed)
        err = make_addressed(frames);
    if (err == WEIR_OK)
        err = ip(near_up);
    return err == WEIR_OK ? ip(far_up) : err;
}

static void
put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* All fields that do not depend on the size and the source port. */
static void
lay_out_headers(uint8_t *headers, uint16_t port)
{
    uint8_t addresses[8];
    inet_pton(AF_INET, WEIR_BENCH_FRAMES_SOURCE, addresses);
    inet_pton(AF_INET, WEIR_BENCH_FRAMES_ADDRESS, addresses + 4);
    uint8_t *ip_header = headers + ETHERNET;
    memset(headers, 0, HEADERS);
    memcpy(headers, "\2\0\0\0\0\2\2\0\0\0\0\1", 12); /* to MAC_NEAR */
    put16(headers + 12, 0x0800);
    put16(ip_header, 0x4500);
    put16(ip_header + 6, 0x4000);
    put16(ip_header + 8, 64 << 8 | 17);
    memcpy(ip_header + 12, addresses, sizeof addresses);
    put16(ip_header + IPV4 + 2, port);
}

static void
put_udp_sum(const uint8_t *ip_header, uint8_t *udp, size_t size)
{
    /* the pseudo header: addresses, protocol, size */
    uint8_t pseudo[12] = {[9] = 17};
    memcpy(pseudo, ip_header + 12, 8);
    memcpy(pseudo + 10, udp + 4, 2);
    uint16_t sum = weir_net_sum(weir_net_sum(0, pseudo, sizeof pseudo), udp, size);
    put16(udp + 6, sum == 0xffff ? 0xffff : (uint16_t)~sum);
}

/* Completes the frame whose payload follows the headers. To the kernel's stack it has no UDP
 * checksum: a NIC would have verified it, and so does loopback without one. */
static uint32_t
seal(const struct weir_bench_frames *frames, uint8_t *frame, size_t payload)
{
    uint8_t *ip_header = frame + ETHERNET;
    uint8_t *udp = ip_header + IPV4;
    memcpy(frame, frames->headers, HEADERS);
    put16(ip_header + 2, (unsigned)(IPV4 + UDP + payload));
    put16(ip_header + 10, (uint16_t)~weir_net_sum(0, ip_header, IPV4));
    put16(udp, SOURCE_PORT_FIRST + (unsigned)(frames->committed % SOURCE_PORTS));
    put16(udp + 4, (unsigned)(UDP + payload));
    if (!frames->addressed)
        put_udp_sum(ip_header, udp, UDP + payload);
    uint32_t size = (uint32_t)(HEADERS + payload);
    return size > WEIR_GEN_FRAME_MIN ? size : WEIR_GEN_FRAME_MIN;
}

/* Frames that come from an address of this machine are dropped by its kernel, and counted nowhere;
 * an address of theirs elsewhere would take them. */
static enum weir_err
check_addresses(void)
{
    struct ifaddrs *all;
    enum weir_err err = WEIR_OK;
    if (getifaddrs(&all) != 0)
        return weir_fail(WEIR_IO, errno, "look at the interfaces");
    for (const struct ifaddrs *at = all; at != NULL && err == WEIR_OK; at = at->ifa_next) {
        char text[INET_ADDRSTRLEN];
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET)
            continue;
        const struct sockaddr_in *address = (const struct sockaddr_in *)at->ifa_addr;
        inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
        if (strcmp(text, WEIR_BENCH_FRAMES_SOURCE) == 0 ||
            strcmp(text, WEIR_BENCH_FRAMES_ADDRESS) == 0)
            err = weir_fail(WEIR_INVALID, 0, "this machine has %s on %s, which --socket needs for "
                "its frames: take it away, or run in a network namespace (unshare -n)", text,
                at->ifa_name);
    }
    freeifaddrs(all);
    return err;
}

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

enum weir_err
weir_bench_frames_new(const char *programs, uint16_t port, bool addressed, uint32_t pairs,
    struct weir_bench_frames **out)
{
    char object[WEIR_CONFIG_PATH_MAX + 32];
    enum weir_err err = addressed ? check_addresses() : WEIR_OK;
    if (err != WEIR_OK)
        return err;
    struct weir_bench_frames *frames = calloc(1, sizeof *frames);
    if (frames == NULL)
        return weir_fail(WEIR_NOMEM, 0, "frames");
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    lay_out_headers(frames->headers, port);
    frames->addressed = addressed;
    frames->pair_count = pairs;
    snprintf(object, sizeof object, "%s/" WEIR_GEN_OBJECT, programs);
    err = weir_generator_new(object, &frames->generator);
    for (uint32_t i = 0; i < pairs && err == WEIR_OK; i++)
        err = make_link(frames, i);
    if (err != WEIR_OK) {
        weir_bench_frames_free(frames);
        return err;
    }
    *out = frames;
    return WEIR_OK;
}

const char *
weir_bench_frames_interface(const struct weir_bench_frames *frames, uint32_t pair)
{
    return frames->pairs[pair].near;
}

static void
pin_to_first_core(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &set))
            continue;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
        return;
    }
}

static double
own_seconds(void)
{
    return (double)weir_clock_ns(CLOCK_THREAD_CPUTIME_ID) / 1e9;
}

enum weir_err
weir_bench_frames_start(struct weir_bench_frames *frames)
{
    pin_to_first_core(); /* the dataplane has received the last one */
    frames->own_seconds = own_seconds();
    uint32_t targets[WEIR_BENCH_FRAMES_PAIRS_MAX];
    for (uint32_t i = 0; i < frames->pair_count; i++)
        targets[i] = if_nametoindex(frames->pairs[i].far);
    return weir_generator_start(frames->generator, targets, frames->pair_count);
}

static enum weir_err
turn_sleep(const struct weir_bench_frames *frames)
{
    struct timespec pause = {.tv_nsec = TURN_NS};
    nanosleep(&pause, NULL);
    if (interrupted)
        return weir_fail(WEIR_IO, 0, "interrupted");
    int failed = weir_generator_failed(frames->generator);
    return failed == 0 ? WEIR_OK : weir_fail(WEIR_IO, failed, "send live frames");
}

static bool
is_over(const struct weir_bench_sending *sending)
{
    return !sending->definitions && weir_bench_load_passes(sending->load) >= sending->passes &&
           weir_mono_ns() >= sending->until_ns;
}

/* Fills a payload with whole lines, as agents do that send many. */
static size_t
fill(struct weir_bench_frames *frames, const struct weir_bench_sending *sending, uint8_t *payload,
    uint32_t *samples)
{
    while (frames->lines_size < sending->payload_max && !is_over(sending)) {
        uint32_t made;
        frames->lines_size +=
            weir_bench_load_next(sending->load, frames->lines + frames->lines_size, &made);
        *samples += made;
    }
    size_t fits = frames->lines_size < sending->payload_max ? frames->lines_size
                                                            : sending->payload_max;
    while (fits > 0 && frames->lines[fits - 1] != '\n')
        fits--;
    memcpy(payload, frames->lines, fits);
    frames->lines_size -= fits;
    memmove(frames->lines, frames->lines + fits, frames->lines_size);
    return fits;
}

/* Makes the next frame in `slot`. False where there is none any more. */
static bool
make_frame(struct weir_bench_frames *frames, const struct weir_bench_sending *sending,
    struct weir_gen_slot *slot)
{
    uint32_t samples = 0;
    uint8_t *payload = slot->frame + HEADERS;
    size_t size;
    if (sending->definitions)
        size = weir_bench_load_define(sending->load, payload);
    else if (sending->payload_max > 0)
        size = fill(frames, sending, payload, &samples);
    else
        size = weir_bench_load_next(sending->load, payload, &samples);
    if (size == 0)
        return false;
    uint32_t frame_size = seal(frames, slot->frame, size);
    weir_generator_commit(frames->generator, frame_size);
    frames->committed++;
    frames->counts.samples += samples;
    frames->counts.bytes += frame_size;
    return true;
}

static enum weir_err
wait_sent(const struct weir_bench_frames *frames)
{
    int64_t limit_ns = weir_mono_ns() + SENT_WAIT_NS;
    while (weir_generator_sent(frames->generator) != frames->committed) {
        enum weir_err err = turn_sleep(frames);
        if (err != WEIR_OK)
            return err;
        if (weir_mono_ns() > limit_ns)
            return weir_fail(WEIR_IO, 0, "the kernel does not send");
    }
    uint64_t refused = weir_generator_refused(frames->generator);
    return refused == 0 ? WEIR_OK
                        : weir_fail(WEIR_IO, 0, "%" PRIu64 " frame%s could not be sent", refused,
                              weir_plural(refused));
}

enum weir_err
weir_bench_frames_send(struct weir_bench_frames *frames, const struct weir_bench_sending *sending)
{
    int64_t start_ns = weir_mono_ns();
    uint64_t sent = 0;
    while (!is_over(sending) || frames->lines_size > 0) {
        double due = (double)(weir_mono_ns() - start_ns) * 1e-9 * (double)sending->rate;
        struct weir_gen_slot *slot;
        while ((double)sent < due &&
               (slot = weir_generator_reserve(frames->generator)) != NULL) {
            if (!make_frame(frames, sending, slot))
                return wait_sent(frames);
            sent++;
        }
        enum weir_err err = turn_sleep(frames);
        if (err != WEIR_OK)
            return err;
    }
    return wait_sent(frames);
}

static uint64_t
interface_drops(const struct pair *pair)
{
    char path[128];
    uint64_t drops = 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/statistics/tx_dropped", pair->far);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64, &drops) != 1)
        drops = 0;
    fclose(file);
    return drops;
}

void
weir_bench_frames_counts(const struct weir_bench_frames *frames,
    struct weir_bench_frames_counts *out)
{
    *out = frames->counts;
    out->frames = weir_generator_sent(frames->generator);
    out->interface_drops = 0;
    for (uint32_t i = 0; i < frames->pair_count; i++)
        out->interface_drops += interface_drops(&frames->pairs[i]);
    out->load_seconds = own_seconds() - frames->own_seconds;
    out->kernel_seconds = weir_generator_cpu_seconds(frames->generator);
}

void
weir_bench_frames_stop(struct weir_bench_frames *frames)
{
    weir_generator_stop(frames->generator);
}

void
weir_bench_frames_free(struct weir_bench_frames *frames)
{
    if (frames->generator != NULL)
        weir_generator_free(frames->generator);
    for (uint32_t i = 0; i < frames->pair_count; i++) {
        const char *del[] = {"ip", "link", "del", frames->pairs[i].near, NULL};
        if (frames->pairs[i].linked && ip(del) != WEIR_OK)
            weir_line_print(stderr, "weir bench: %s", weir_err_detail());
    }
    free(frames);
}
