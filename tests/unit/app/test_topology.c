#include "app/topology.h"
#include "model/packet.h"

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
        assert_int_equal(plan.threads[0].stage_first, 0);
        assert_int_equal(plan.threads[0].stage_count, WEIR_TOPOLOGY_KINDS);
        assert_int_equal(plan.stage_count, WEIR_TOPOLOGY_KINDS);
        for (uint32_t i = 0; i < plan.stage_count; i++) {
            assert_int_equal(plan.stages[i].kind, i); /* in the order of the pipeline */
            assert_int_equal(plan.stages[i].thread, 0);
            assert_int_equal(plan.stages[i].core, count - 1);
        }
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
    assert_int_equal(plan.stage_count, 5);
    uint32_t of_kind[WEIR_TOPOLOGY_KINDS] = {0};
    uint64_t used = 0;
    for (uint32_t i = 0; i < plan.thread_count; i++) {
        assert_int_equal(plan.threads[i].stage_count, 1);
        const struct weir_topology_stage *stage = &plan.stages[plan.threads[i].stage_first];
        assert_int_equal(stage->thread, i);
        assert_int_equal(stage->core, plan.threads[i].core);
        assert_int_equal(stage->index, of_kind[stage->kind]++);
        assert_false(used >> plan.threads[i].core & 1); /* no core twice */
        used |= UINT64_C(1) << plan.threads[i].core;
    }
    assert_int_equal(of_kind[WEIR_TOPOLOGY_WORKER], 3);
    assert_int_equal(of_kind[WEIR_TOPOLOGY_REGISTRAR], 1);
    assert_int_equal(of_kind[WEIR_TOPOLOGY_WRITER], 1);
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
    weir_topology_print(&plan, &config, "# ", out);
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

static const struct weir_topology_link *
link_between(const struct weir_topology *plan, const char *from, const char *to)
{
    const struct weir_topology_link *found = NULL;
    for (uint32_t i = 0; i < plan->link_count; i++) {
        const struct weir_topology_link *link = &plan->links[i];
        if (strcmp(plan->stages[link->from].name, from) == 0 &&
            strcmp(plan->stages[link->to].name, to) == 0) {
            assert_null(found); /* one link between two stages */
            found = link;
        }
    }
    assert_non_null(found);
    return found;
}

static void
test_every_worker_is_linked_to_registrar_and_writer(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    config.workers = 3;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(plan.link_count, 2 * 3 + 1);
    uint64_t edges = 0;
    for (uint32_t i = 0; i < plan.link_count; i++) {
        assert_in_range(plan.links[i].count, 1, WEIR_EDGE_CAPACITY_MAX);
        assert_int_equal(edges >> plan.links[i].edge & 1, 0); /* the ledger counts each apart */
        edges |= UINT64_C(1) << plan.links[i].edge;
    }
    for (uint32_t i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "rx-%u", i);
        assert_string_equal(link_between(&plan, name, "registrar")->what, "deferrals");
        assert_string_equal(link_between(&plan, name, "log-writer")->what, "batches");
    }
    /* the registrar's batches hold definitions, those of the weir protocol's worker marks */
    uint64_t plain = link_between(&plan, "rx-1", "log-writer")->bytes;
    assert_true(link_between(&plan, "registrar", "log-writer")->bytes > plain);
    assert_true(link_between(&plan, "rx-0", "log-writer")->bytes > plain);
}

static void
test_items_of_the_links_are_part_of_the_memory(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology one;
    struct weir_topology two;
    weir_config_init(&config);
    config.workers = 2;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &one), WEIR_OK);
    two = one;
    two.links[0].count++;
    assert_int_equal(weir_topology_bytes(&two) - weir_topology_bytes(&one), one.links[0].bytes);
}

static void
test_listeners_are_dealt_in_turn_and_those_of_weir_to_one_worker(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology plan;
    weir_config_init(&config);
    config.workers = 2;
    config.listener_count = 4;
    for (uint32_t i = 0; i < 4; i++)
        config.listeners[i] = (struct weir_config_listener){.proto = WEIR_PROTO_INFLUX};
    config.listeners[3].proto = WEIR_PROTO_WEIR;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(plan.listener_workers[0], 0);
    assert_int_equal(plan.listener_workers[1], 1);
    assert_int_equal(plan.listener_workers[2], 0);
    assert_int_equal(plan.listener_workers[3], WEIR_WIRE_WORKER);
}

static void
test_queues_of_a_port_are_as_its_text_says(void **state)
{
    (void)state;
    struct weir_config config;
    struct weir_topology without;
    struct weir_topology plan;
    weir_config_init(&config);
    config.workers = 2;
    assert_int_equal(weir_topology_plan(&config, cores, 8, &without), WEIR_OK);
    config.port_count = 3;
    snprintf(config.ports[0], sizeof config.ports[0], "net_af_xdp0,iface=none0,queue_count=3");
    snprintf(config.ports[1], sizeof config.ports[1], "net_af_xdp1,iface=none0,start_queue=5");
    snprintf(config.ports[2], sizeof config.ports[2], "net_af_packet0,iface=none0");
    assert_int_equal(weir_topology_plan(&config, cores, 8, &plan), WEIR_OK);
    assert_int_equal(plan.port_queues[0], 3);
    assert_int_equal(plan.port_queues[1], 1);
    assert_int_equal(plan.port_queues[2], 1);
    assert_int_equal(weir_topology_queue_worker(&plan, 2), 0);
    assert_true(weir_topology_queue_mbufs(1) > weir_topology_queue_mbufs(3));
    assert_int_equal(weir_topology_bytes(&plan) - weir_topology_bytes(&without),
        (uint64_t)config.eal_memory_mib << 20);
}

static void
test_plan_names_stages_links_listeners_and_queues(void **state)
{
    (void)state;
    static const char *const lines[] = {"# threads of the dataplane",
        "#   weir-all           core 1    rx-0 registrar log-writer\n", "weir-epoch",
        "weir-query-0", "#   rx-0       -> registrar    32 deferrals ",
        "#   rx-0       -> log-writer    6 batches ", "#   registrar  -> log-writer    4 batches ",
        "127.0.0.1:8089                    rx-0\n", "DPDK port net_af_xdp0,",
        "#   queue 1   rx-0     8192 mbufs x 4096 bytes", "DPDK's memory, with all mbufs", "worker",
        "items of the links"};
    struct weir_config config;
    struct weir_topology plan;
    char *text;
    size_t size;
    weir_config_init(&config);
    config.port_count = 1;
    snprintf(config.ports[0], sizeof config.ports[0], "net_af_xdp0,iface=none0,queue_count=2");
    assert_int_equal(weir_topology_plan(&config, cores, 2, &plan), WEIR_OK);
    FILE *out = open_memstream(&text, &size);
    weir_topology_print(&plan, &config, "# ", out);
    fclose(out);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("no \"%s\" in:\n%s", lines[i], text);
    free(text);
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
        cmocka_unit_test(test_every_worker_is_linked_to_registrar_and_writer),
        cmocka_unit_test(test_items_of_the_links_are_part_of_the_memory),
        cmocka_unit_test(test_listeners_are_dealt_in_turn_and_those_of_weir_to_one_worker),
        cmocka_unit_test(test_queues_of_a_port_are_as_its_text_says),
        cmocka_unit_test(test_plan_names_stages_links_listeners_and_queues),
        cmocka_unit_test(test_a_plan_that_the_machine_cannot_hold_is_doubted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
