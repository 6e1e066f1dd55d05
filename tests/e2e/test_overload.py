"""More than can be taken: every packet and sample keeps its name. No rate or time is looked at."""
import json
import os
import re
import subprocess
import sys
import tempfile

import tap

WEIR = os.path.join(os.environ["WEIR_BIN"], "weir")
# in front of the dataplane, and for lines of new series
NAMES = {"ring_full_packets", "socket_drops_packets", "define_backlog_samples",
         "table_full_samples"}


def run(data, source, *options):
    done = subprocess.run([WEIR, "bench", "--overload", "--source", source, "--series", "1200",
                           "--seconds", "0.4", "--data", data, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def overload(source, *options):
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-overload-") as data:
        return run(data, source, *options).stdout


def expect_closed(report):
    sums = report["sums"]
    assert [sums[name] for name in ("unnamed_packets", "unnamed_samples", "residual_packets",
                                    "residual_records", "residual_samples")] == [0] * 5, sums
    assert sums["offered_packets"] == sums["received_packets"] + sums["ring_full_packets"] \
        + sums["socket_drops_packets"], sums
    phases = report["phases"]
    assert [phase["phase"] for phase in phases] == ["peak", "2x", "5x", "half", "churn", "half"]
    for phase in phases:
        assert set(phase["lost"]) <= NAMES, phase
    churn = phases[4]
    assert churn["new_offered_per_sec"] > 0, churn
    assert churn["new_defined_per_sec"] > 0 or churn["lost"], churn


def test_ring_overflow_is_counted_to_the_packet():
    report = json.loads(overload("ring", "--json"))
    expect_closed(report)
    most = report["phases"][2]
    assert most["lost"].get("ring_full_packets", 0) > 0 or most["doubts"], most
    assert report["phases"][0]["lost"] == {}


def test_udp_overflow_is_counted_to_the_packet():
    expect_closed(json.loads(overload("udp", "--json")))


def test_data_that_was_used_before_gets_new_series_all_the_same():
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-overload-") as data:
        run(data, "ring", "--json")
        expect_closed(json.loads(run(data, "ring", "--json").stdout))


def test_a_phase_that_is_not_what_its_name_says_is_told():
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-overload-") as data:
        done = run(data, "ring", "--json")
    phases = json.loads(done.stdout)["phases"][1:]
    for doubt, words in (("offered", "offered"), ("peak", "made")):
        told = re.findall(rf"phase (\w+) {words} [0-9.]+ times", done.stderr)
        doubted = [p["phase"] for p in phases if doubt in p["doubts"]]
        assert told == doubted, (told, doubted, done.stderr)
    assert all(set(p["doubts"]) <= {"offered", "peak"} for p in phases), phases


def test_without_json_it_is_a_table():
    lines = overload("ring").splitlines()
    assert lines[0].split() == ["phase", "seconds", "offered/s", "x-peak", "durable/s", "new/s",
                                "defined/s", "private", "MiB", "lost"], lines
    phases = [line.split() for line in lines[1:7]]
    assert [p[0] for p in phases] == ["peak", "2x", "5x", "half", "churn", "half"], lines
    for phase in phases:
        assert all(float(number) >= 0 for number in phase[1:8]), lines
        assert float(phase[2]) > 0 and (phase[8] == "-" or phase[8] in NAMES), lines
    sums = dict(line.split() for line in lines[7:])
    assert int(sums["offered_packets"]) == int(sums["received_packets"]) \
        + int(sums["ring_full_packets"]) > 0, lines
    assert sums["unnamed_samples"] == sums["residual_samples"] == "0", lines


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
