/* Figures of processes, as /proc has them. */
#include "app/supervisor/process_figures.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_figures_of_this_process_are_plausible(void **state)
{
    (void)state;
    struct weir_process_figures figures;
    assert_int_equal(weir_process_figures(getpid(), &figures), WEIR_OK);
    /* btime is in whole seconds */
    assert_in_range(figures.start_ms, 1, (uint64_t)weir_wall_ms() + 1000);
    assert_in_range(figures.resident_bytes, 4096, figures.virtual_bytes);
    assert_int_equal(figures.threads, 1);
    assert_in_range(figures.fds, 3, figures.fds_max);
    int more = dup(0);
    uint64_t fds = figures.fds;
    assert_int_equal(weir_process_figures(getpid(), &figures), WEIR_OK);
    assert_int_equal(figures.fds, fds + 1);
    close(more);
}

/* The name is in brackets and may hold brackets and blanks. */
static void
test_figures_do_not_depend_on_the_name(void **state)
{
    (void)state;
    struct weir_process_figures before, after;
    assert_int_equal(weir_process_figures(getpid(), &before), WEIR_OK);
    assert_int_equal(prctl(PR_SET_NAME, "a) R 1 (b"), 0);
    assert_int_equal(weir_process_figures(getpid(), &after), WEIR_OK);
    assert_int_equal(after.start_ms, before.start_ms);
    assert_int_equal(after.threads, 1);
}

static void
test_figures_of_a_process_that_has_ended_are_none(void **state)
{
    (void)state;
    struct weir_process_figures figures;
    struct weir_process_view view = {0};
    int hold[2];
    assert_int_equal(pipe(hold), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    weir_process_publish(&view, child);
    assert_int_equal(view.pid, child);
    assert_true(view.virtual_bytes > 0);
    close(hold[0]);
    close(hold[1]);
    siginfo_t ended;
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
    /* it is not reaped yet */
    assert_int_equal(weir_process_figures(child, &figures), WEIR_NOT_FOUND);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(weir_process_figures(child, &figures), WEIR_NOT_FOUND);
    weir_process_publish(&view, child);
    assert_int_equal(view.pid, 0);
    assert_int_equal(view.virtual_bytes, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_of_this_process_are_plausible),
        cmocka_unit_test(test_figures_do_not_depend_on_the_name),
        cmocka_unit_test(test_figures_of_a_process_that_has_ended_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
