"""More than can be taken: every packet and sample keeps its name. No rate or time is looked at."""
import json
import os
import subprocess
import sys
import tempfile

import tap

WEIR = os.path.join(os.environ["WEIR_BIN"], "weir")
# in front of the dataplane, and for lines of new series
NAMES = {"ring_full_packets", "socket_drops_packets", "define_backlog_samples",
         "table_full_samples"}


def overload(source):
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-overload-") as data:
        done = subprocess.run([WEIR, "bench", "--overload", "--source", source, "--series", "1200",
                               "--seconds", "0.4", "--json", "--data", data],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


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
    assert churn["new_defined_per_sec"] > 0 or churn["lost"], churn


def test_ring_overflow_is_counted_to_the_packet():
    report = overload("ring")
    expect_closed(report)
    assert report["phases"][2]["lost"]["ring_full_packets"] > 0
    assert report["phases"][0]["lost"] == {}


def test_udp_overflow_is_counted_to_the_packet():
    expect_closed(overload("udp"))


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
