"""GET /metrics as Prometheus reads it, to the letter."""
import os
import re
import sys
import time

import exposition
import tap
from instance import Instance, wait_for

ROOT = os.path.join(os.path.dirname(__file__), "../..")
PROCESSES = ("supervisor", "dataplane", "controlplane", "keeper")


def scrape(weir):
    status, body = weir.get("/metrics")
    assert status == 200, (status, body)
    return exposition.parse(body)


def value(families, name, **labels):
    sample = name
    for family in families.values():
        if (sample, tuple(sorted(labels.items()))) in family.samples:
            return family.samples[sample, tuple(sorted(labels.items()))]
    raise AssertionError(f"{name}{labels} is not exposed")


def test_the_reader_is_strict():
    good = b'# HELP a_total t\n# TYPE a_total counter\na_total{x="\\"}\\n"} 1.5\na_total 2e3\n'
    assert exposition.parse(good)["a_total"].samples[("a_total", ())] == 2000
    for bad in (good[:-1], good + b"\n", good + good, good.replace(b"counter", b"gauge"),
                good.replace(b"# HELP a_total t\n", b""), good.replace(b" 1.5", b"  1.5"),
                good.replace(b"2e3", b"0x1"), good.replace(b'\\n"', b'\\q"'),
                good.replace(b"\na_total 2e3", b"\nb_total 2e3"),
                good.replace(b"a_total 2e3", b'a_total{x="\\"}\\n"} 1'),
                good.replace(b"a_total", b"a_ns_total"), good.replace(b"2e3", b"-1")):
        try:
            exposition.parse(bad)
        except AssertionError:
            continue
        raise AssertionError(f"read: {bad}")


def test_metrics_keep_to_the_format_and_to_the_rules_of_names():
    with Instance("--keeper", "true") as weir:
        now = time.time_ns()
        assert weir.send_tcp(b"m,h=a v=1 %d\nbad\n" % now).startswith(b"ok 1 1 ")
        weir.query("m_v")
        weir.get("/api/v1/metrics/query", metric="m_v", step="no")
        first = scrape(weir)
        assert value(first, "weir_queries_total", endpoint="query", outcome="answered") == 1
        assert value(first, "weir_queries_total", endpoint="query", outcome="client_error") == 1
        assert value(first, "weir_query_duration_seconds_count", endpoint="query") == 2
        assert value(first, "weir_sync_seconds_total") > 0
        assert value(first, "weir_tsc_hertz") > 1e6
        # a counter never falls while nothing restarts
        second = scrape(weir)
        assert set(first) == set(second)
        for name, family in first.items():
            for key, before in family.samples.items():
                if family.type == "counter" or family.type == "histogram":
                    assert second[name].samples[key] >= before, key


def test_every_metric_is_in_the_documents():
    documents = ""
    for page in ("api.md", "metrics.md"):
        with open(os.path.join(ROOT, "docs", page)) as file:
            documents += file.read()
    with Instance("--keeper", "true") as weir:
        missing = [name for name in scrape(weir) if f"`{name}" not in documents]
    assert not missing, missing


def figures(families, process):
    """{name: value} of a process, where all are there."""
    names = [name for name in families if name.startswith("process_")]
    found = {name: families[name].samples.get((name, (("process", process),))) for name in names}
    return found if None not in found.values() else None


def published(weir):
    """Figures by process, once they are those of the programs and not of a fork before its exec."""
    families = scrape(weir)
    found = {process: figures(families, process) for process in PROCESSES}
    return found if all(f and f["process_resident_memory_bytes"] > 2**20 and
                        f["process_open_fds"] > 3 for f in found.values()) else None


def start_time(pid):
    with open(f"/proc/{pid}/stat") as file:
        ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/stat") as file:
        boot = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def test_each_process_has_its_figures():
    with Instance("--keeper", "true") as weir:
        found = wait_for(lambda: published(weir), "the supervisor publishes figures of all four")
        for process, at in found.items():
            assert len(at) == 7, at
            assert abs(at["process_start_time_seconds"] - start_time(weir.pid(process))) < 0.01, at
            assert 0 <= at["process_cpu_seconds_total"] < 3600, at
            assert at["process_virtual_memory_bytes"] >= at["process_resident_memory_bytes"], at
            assert at["process_max_fds"] >= at["process_open_fds"], at
            assert at["process_threads"] >= 1, at
        before = found["dataplane"]["process_start_time_seconds"]
        weir.replace("dataplane")
        wait_for(lambda: (published(weir) or found)["dataplane"]["process_start_time_seconds"]
                 > before, "figures of the new one")


def test_metrics_that_a_script_or_page_names_are_there():
    """scripts/run waits until samples are stored, by a name in /metrics."""
    with Instance("--keeper", "true") as weir:
        wait_for(lambda: b"weir_keeper_state" in weir.get("/metrics")[1], "the keeper is ready")
        there = set(re.findall(r"^# TYPE (\w+)", weir.get("/metrics")[1].decode(), re.M))
    with open(os.path.join(ROOT, "scripts/run")) as file:
        names = set(re.findall(r"/\^(weir_\w+)", file.read()))
    assert names, "scripts/run reads no metric"
    with open(os.path.join(ROOT, "docs/api.md")) as file:
        names |= set(re.findall(r"`((?:weir|process)_[a-z_]+)[`{]", file.read()))
    assert names <= there, names - there


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
