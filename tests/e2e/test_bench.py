"""weir bench over the ring source: what it counts and calls by name. No rate or time is looked at."""
import json
import os
import subprocess
import sys
import tempfile

import tap

WEIR = os.path.join(os.environ["WEIR_BIN"], "weir")


def bench(proto, series):
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as data:
        done = subprocess.run([WEIR, "bench", "--proto", proto, "--series", str(series),
                               "--seconds", "0.2", "--json", "--data", data],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["proto"] == proto, report
    assert report["offered"] == report["received"] == report["durable"] == report["queryable"] \
        >= series, report
    assert report["ledger_residual"] == report["mismatched"] == 0 < report["compared"], report
    return report


def test_lines_that_were_offered_were_parsed_and_are_read_back():
    for proto, series in (("influx", 1200), ("graphite", 100000)):
        report = bench(proto, series)
        assert report["parsed"] == report["offered"], report


def test_packets_of_the_weir_protocol_are_not_called_parsed():
    assert "parsed" not in bench("weir", 1200)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
