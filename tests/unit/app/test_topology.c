#include "app/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int32_t cores[] = {0, 1, 2, 3, 4, 5, 6, 7};

static void
test_below_four_cores_one_thread_runs_every_stage(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 4; count++) {
        struct weir_config config;
        struct weir_topology plan;
        weir_config_init(&config);
        assert_int_equal(weir_topology_plan(&config, cores, count, &plan), WEIR_OK);
        assert_int_equal(plan.thread_count, 1);
        assert_int_equal(plan.threads[0].worker, 0);
        assert_true(plan.threads[0].registrar && plan.threads[0].writer);
        assert_int_equal(plan.threads[0].core, count - 1);
    }
}

static void
test_with_cores_enough_each_stage_has_its_own(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(plan.worker_count, 3);
    assert_int_equal(plan.thread_count, 5);
    uint32_t registrars = 0;
    uint32_t writers = 0;
    uint64_t used = 0;
    for (uint32_t i = 0; i < plan.thread_count; i++) {
        registrars += plan.threads[i].registrar;
        writers += plan.threads[i].writer;
        assert_false(used >> plan.threads[i].core & 1); /* no core twice */
        used |= UINT64_C(1) << plan.threads[i].core;
    }
    assert_int_equal(registrars, 1);
    assert_int_equal(writers, 1);
    assert_int_equal(used & 1, 0); /* core 0 is left to the others */
}

static void
test_log_that_is_recycled_has_a_thread_for_its_checkpoints(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_false(plan.checkpointer);
    config.log_full = WEIR_CONFIG_RECYCLE;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_true(plan.checkpointer);
    assert_int_equal(plan.thread_count, 5); /* none of the stages' */
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    weir_topology_print(&plan, "# ", out);
    fclose(out);
    assert_non_null(strstr(text, "weir-checkpoint"));
    free(text);
}

static void
test_checkpoints_are_made_on_cores_that_no_thread_is_pinned_to(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    config.log_full = WEIR_CONFIG_RECYCLE;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(CPU_COUNT(&plan.checkpointer_cores), 3);
    for (uint32_t i = 0; i < plan.thread_count; i++)
        assert_false(CPU_ISSET((size_t)plan.threads[i].core, &plan.checkpointer_cores));
    /* where every one is taken it shares them all */
    assert_int_equal(weir_topology_plan(&config, cores, 1, &plan), WEIR_OK);
    assert_int_equal(CPU_COUNT(&plan.checkpointer_cores), 1);
    config.workers = 2;
    assert_int_equal(weir_topology_plan(&config, cores, 4, &plan), WEIR_OK);
    assert_int_equal(CPU_COUNT(&plan.checkpointer_cores), 4);
    config.pin = false;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(CPU_COUNT(&plan.checkpointer_cores), 8);
}

static void
test_configured_cores_are_taken_and_foreign_ones_refused(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    config.core_count = 1;
    config.cores[0] = 2;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(plan.thread_count, 1);
    assert_int_equal(plan.threads[0].core, 2);
    config.cores[0] = 9;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_INVALID);
    assert_non_null(strstr(weir_err_detail(), "core 9"));
}

static void
test_without_pinning_no_thread_has_a_core(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    config.pin = false;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    for (uint32_t i = 0; i < plan.thread_count; i++)
        assert_int_equal(plan.threads[i].core, -1);
}

static void
test_memory_follows_the_configuration(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology small;
    struct weir_topology large;
    weir_config_init(&config);
    assert_int_equal(weir_topology_plan(&config, cores, 2, &small), WEIR_OK);
    config.series_max *= 10;
    config.series_label_bytes *= 10;
    config.rate_max *= 10;
    assert_int_equal(weir_topology_plan(&config, cores, 2, &large), WEIR_OK);
    assert_int_equal(small.region_count, large.region_count);
    assert_true(large.frame_ring_bytes > 9 * small.frame_ring_bytes);
    uint32_t grown = 0;
    for (uint32_t i = 0; i < small.region_count; i++)
        grown += large.regions[i].bytes > 9 * small.regions[i].bytes;
    assert_int_equal(grown, 3); /* frame ring, series table, series cache */
}

static void
test_a_plan_that_the_machine_cannot_hold_is_doubted(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    char doubt[256];
    weir_config_init(&config);
    config.series_max = 100000000;
    assert_int_equal(weir_topology_plan(&config, cores, 2, &plan), WEIR_OK);
    uint64_t bytes = weir_topology_bytes(&plan);
    assert_false(weir_topology_doubt(&plan, bytes, "it has", doubt, sizeof doubt));
    assert_true(weir_topology_doubt(&plan, bytes - 1, "it has", doubt, sizeof doubt));
    assert_non_null(strstr(doubt, "memory: "));
    assert_non_null(strstr(doubt, "series.max"));
    assert_non_null(strstr(doubt, "and it has "));
}

/* weir.yaml and config.h say so. */
static void
test_workers_are_half_of_what_registrar_and_writer_leave(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    for (uint32_t count = 4; count <= 34; count++) {
        int32_t many[34];
        struct weir_topology plan;
        for (int32_t i = 0; i < 34; i++)
            many[i] = i;
        assert_int_equal(weir_topology_plan(&config, many, count, &plan), WEIR_OK);
        uint32_t half = (count - 2) / 2;
        assert_int_equal(plan.worker_count, half < WEIR_WORKERS_MAX ? half : WEIR_WORKERS_MAX);
        assert_int_equal(plan.thread_count, plan.worker_count + 2);
    }
}

static void
test_connections_leave_the_log_its_descriptors(void **state)
{
    (void)state;
    struct weir_config config;
    weir_config_init(&config);
    uint64_t beside = WEIR_DATAPLANE_FILES + config.listener_count;
    uint32_t wanted = config.tcp_connections_max;
    assert_int_equal(weir_topology_connections(&config, 1, UINT64_MAX), wanted);
    assert_int_equal(weir_topology_connections(&config, 1, beside + wanted), wanted);
    assert_int_equal(weir_topology_connections(&config, 1, beside + wanted - 1), wanted - 1);
    assert_int_equal(weir_topology_connections(&config, 2, beside + wanted), wanted / 2);
    assert_int_equal(weir_topology_connections(&config, 2, 0), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_below_four_cores_one_thread_runs_every_stage),
        cmocka_unit_test(test_with_cores_enough_each_stage_has_its_own),
        cmocka_unit_test(test_log_that_is_recycled_has_a_thread_for_its_checkpoints),
        cmocka_unit_test(test_checkpoints_are_made_on_cores_that_no_thread_is_pinned_to),
        cmocka_unit_test(test_configured_cores_are_taken_and_foreign_ones_refused),
        cmocka_unit_test(test_without_pinning_no_thread_has_a_core),
        cmocka_unit_test(test_memory_follows_the_configuration),
        cmocka_unit_test(test_workers_are_half_of_what_registrar_and_writer_leave),
        cmocka_unit_test(test_connections_leave_the_log_its_descriptors),
        cmocka_unit_test(test_a_plan_that_the_machine_cannot_hold_is_doubted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
