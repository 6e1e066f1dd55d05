#include "bench/xdp/generator.h"

#include "base/assert.h"
#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Frames the kernel has under way before it hands them on; after that other tasks may run. */
#define BATCH 64
#define STOP_SIGNAL SIGUSR1

struct weir_generator {
    struct bpf_object *object;
    int program_fd;
    struct weir_gen_slot *slots;
    struct weir_gen_state *state;
    pthread_t thread;
    bool running;
    bool stopping; /* atomic */
    int failed;    /* atomic: errno of the kernel's thread */
    uint8_t frame[WEIR_GEN_FRAME_MAX]; /* the first content of the kernel's pages */
};

static size_t
whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

/* Maps a map's values; NULL where that fails. */
static void *
map_values(const struct weir_generator *generator, const char *name, size_t size)
{
    int fd = bpf_object__find_map_fd_by_name(generator->object, name);
    void *memory = mmap(NULL, whole_pages(size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

enum weir_err
weir_generator_new(const char *object, struct weir_generator **out)
{
    struct weir_generator *generator = calloc(1, sizeof *generator);
    if (generator == NULL)
        return weir_fail(WEIR_NOMEM, 0, "frame generator");
    generator->object = bpf_object__open_file(object, NULL);
    int failed = generator->object == NULL ? -errno : bpf_object__load(generator->object);
    if (failed != 0) {
        weir_generator_free(generator);
        return weir_fail(WEIR_UNSUPPORTED, -failed, "load %s", object);
    }
    generator->program_fd =
        bpf_program__fd(bpf_object__find_program_by_name(generator->object, "weir_gen"));
    generator->slots =
        map_values(generator, "gen_slots", sizeof(struct weir_gen_slot) * WEIR_GEN_SLOTS);
    generator->state = map_values(generator, "gen_state", sizeof(struct weir_gen_state));
    if (generator->slots == NULL || generator->state == NULL) {
        int error = errno;
        weir_generator_free(generator);
        return weir_fail(WEIR_IO, error, "map the slots of the frame generator");
    }
    *out = generator;
    return WEIR_OK;
}

static void
on_stop(int signal)
{
    (void)signal; /* it ends the call that is under way */
}

static void *
send_all(void *argument)
{
    struct weir_generator *generator = argument;
    /* acquire pairs with the release in weir_generator_stop */
    while (!__atomic_load_n(&generator->stopping, __ATOMIC_ACQUIRE)) {
        struct xdp_md context = {.data_end = WEIR_GEN_FRAME_MAX};
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = generator->frame,
            .data_size_in = sizeof generator->frame, .ctx_in = &context,
            .ctx_size_in = sizeof context, .repeat = INT_MAX,
            .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
        int failed = bpf_prog_test_run_opts(generator->program_fd, &opts);
        if (failed != 0 && failed != -EINTR) {
            /* release pairs with the acquire in weir_generator_failed */
            __atomic_store_n(&generator->failed, -failed, __ATOMIC_RELEASE);
            break;
        }
    }
    return NULL;
}

enum weir_err
weir_generator_start(struct weir_generator *generator, const uint32_t *interface_indexes,
    uint32_t count)
{
    const struct sched_param priority = {.sched_priority = 1};
    const struct sigaction action = {.sa_handler = on_stop};
    WEIR_ASSERT(count == 1 || count == 2 || count == 4);
    memcpy(generator->state->targets, interface_indexes, count * sizeof *interface_indexes);
    generator->state->target_count = count;
    if (sigaction(STOP_SIGNAL, &action, NULL) != 0)
        return weir_fail(WEIR_IO, errno, "signal of the frame generator");
    int failed = pthread_create(&generator->thread, NULL, send_all, generator);
    if (failed != 0)
        return weir_fail(WEIR_IO, failed, "thread of the frame generator");
    generator->running = true;
    failed = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
    return failed == 0 ? WEIR_OK : weir_fail(WEIR_IO, failed, "real-time priority");
}

enum weir_err
weir_generator_pass(const struct weir_generator *generator, uint32_t interface_index)
{
    int fd = bpf_program__fd(
        bpf_object__find_program_by_name(generator->object, "weir_gen_pass"));
    int failed = bpf_xdp_attach((int)interface_index, fd, XDP_FLAGS_DRV_MODE, NULL);
    return failed == 0 ? WEIR_OK
                       : weir_fail(WEIR_IO, -failed, "let the generator's frames pass");
}

struct weir_gen_slot *
weir_generator_reserve(struct weir_generator *generator)
{
    struct weir_gen_state *state = generator->state;
    /* acquire: the slot is filled after the program (weir_gen.bpf.c) has read it, which it does
     * before it counts sent */
    if (state->filled - __atomic_load_n(&state->sent, __ATOMIC_ACQUIRE) == WEIR_GEN_SLOTS)
        return NULL;
    return &generator->slots[state->filled % WEIR_GEN_SLOTS];
}

void
weir_generator_commit(struct weir_generator *generator, uint32_t size)
{
    struct weir_gen_state *state = generator->state;
    generator->slots[state->filled % WEIR_GEN_SLOTS].size = size;
    /* release pairs with the volatile load of filled in weir_gen.bpf.c, which reads the slot only
     * where it depends on that */
    __atomic_store_n(&state->filled, state->filled + 1, __ATOMIC_RELEASE);
}

uint64_t
weir_generator_sent(const struct weir_generator *generator)
{
    return __atomic_load_n(&generator->state->sent, __ATOMIC_RELAXED); /* a figure */
}

uint64_t
weir_generator_refused(const struct weir_generator *generator)
{
    return __atomic_load_n(&generator->state->refused, __ATOMIC_RELAXED); /* a figure */
}

int
weir_generator_failed(const struct weir_generator *generator)
{
    /* acquire pairs with the release in send_all */
    return __atomic_load_n(&generator->failed, __ATOMIC_ACQUIRE);
}

double
weir_generator_cpu_seconds(const struct weir_generator *generator)
{
    clockid_t clock;
    if (!generator->running || pthread_getcpuclockid(generator->thread, &clock) != 0)
        return 0;
    return (double)weir_clock_ns(clock) / 1e9;
}

void
weir_generator_stop(struct weir_generator *generator)
{
    if (!generator->running)
        return;
    const struct sched_param none = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
    /* release pairs with the acquire in send_all */
    __atomic_store_n(&generator->stopping, true, __ATOMIC_RELEASE);
    /* a signal that comes before the call is lost on it: again, until the thread has ended */
    struct timespec pause = {.tv_nsec = 1000000};
    while (pthread_tryjoin_np(generator->thread, NULL) == EBUSY) {
        (void)pthread_kill(generator->thread, STOP_SIGNAL);
        nanosleep(&pause, NULL);
    }
    generator->running = false;
}

void
weir_generator_free(struct weir_generator *generator)
{
    weir_generator_stop(generator);
    if (generator->slots != NULL)
        munmap(generator->slots, whole_pages(sizeof(struct weir_gen_slot) * WEIR_GEN_SLOTS));
    if (generator->state != NULL)
        munmap(generator->state, whole_pages(sizeof(struct weir_gen_state)));
    bpf_object__close(generator->object);
    free(generator);
}
