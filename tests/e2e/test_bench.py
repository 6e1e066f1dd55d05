"""weir bench without frames: what it counts and calls by name. No rate or time is looked at."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tap

WEIR = os.path.join(os.environ["WEIR_BIN"], "weir")


def run(data, proto, series, *options):
    return subprocess.run([WEIR, "bench", "--proto", proto, "--series", str(series), "--json",
                           "--data", data, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


def bench(proto, series, *options):
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as data:
        done = run(data, proto, series, "--seconds", "0.2", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["proto"] == proto, report
    assert report["offered"] == report["received"] == report["durable"] == report["queryable"] \
        >= series, report
    assert report["ended_early"] is False, report
    assert report["ledger_residual"] == report["mismatched"] == report["missing"] == 0, report
    assert report["compared"] > 0, report
    return report


def test_lines_that_were_offered_were_parsed_and_are_read_back():
    for proto, series in (("influx", 1200), ("graphite", 100000)):
        report = bench(proto, series)
        assert report["parsed"] == report["offered"], report


def test_packets_of_the_weir_protocol_are_not_called_parsed():
    assert "parsed" not in bench("weir", 1200)


def test_hosts_lines_go_together_in_large_datagrams():
    single = bench("influx", 1200, "--source", "udp")
    assert single["datagram_samples"] == 12, single
    # as many hosts of up to 1,300 bytes as leave less than 2,048 of 8,972
    large = bench("influx", 1200, "--source", "udp", "--payload", "8972")
    assert 60 < large["datagram_samples"] <= 72, large
    assert large["datagrams_sent"] == large["datagrams_received"], large


def segments_of(data):
    return [e for e in os.scandir(os.path.join(data, "log/0")) if ".seg" in e.name]


def size_max_of_a_run(data):
    """What weir bench lets the log have that it finds in data, or makes there."""
    done = run(data, "weir", 12000, "--seconds", "0.2")
    assert done.returncode == 0, done.stderr[-2000:]
    with open(os.path.join(data, "run/bench.yaml"), encoding="utf-8") as file:
        size = re.search(r"^ *size_max: (\d+)B?$", file.read(), re.MULTILINE)
    return int(size.group(1))


def check_room_beyond_a_recycled_log(data):
    there = sum(e.stat().st_size for e in segments_of(data))
    assert min(e.name for e in segments_of(data)) > "0000000000000000.seg"
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as empty:
        assert size_max_of_a_run(data) == size_max_of_a_run(empty) + there


def test_a_recycled_log_holds_what_was_stored_and_not_released():
    size = 256 << 20
    for seconds in (3, 10, 30, 100):  # however slow the machine is
        with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as data:
            done = run(data, "weir", 12000, "--seconds", str(seconds), "--recycle", str(size))
            assert done.returncode == 0, done.stderr[-2000:]
            assert sum(e.stat().st_size for e in segments_of(data)) <= size
            again = run(data, "weir", 12000, "--seconds", "1", "--recycle", str(size))
            assert again.returncode == 1 and "holds a log already" in again.stderr, again.stderr
            report = json.loads(done.stdout)
            if report["log_segments_recycled"] > 0:
                check_room_beyond_a_recycled_log(data)
        assert report["log_samples"] == report["log_samples_wanted"], report
        assert report["ledger_residual"] == report["mismatched"] == report["missing"] == 0, report
        assert report["compared"] > 0, report
        if report["log_segments_recycled"] > 0:
            break
    assert report["log_samples_recycled"] > 0, report
    assert report["queryable"] < report["durable"], report


def test_a_run_that_comes_near_the_end_of_its_room_ends_early_and_says_so():
    size = 128 << 20
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as data:
        done = run(data, "weir", 12000, "--seconds", "600", "--log-bytes", str(size))
        assert done.returncode == 0, done.stderr[-2000:]
        assert sum(e.stat().st_size for e in segments_of(data)) <= size
    report = json.loads(done.stdout)
    assert report["ended_early"] is True, report
    assert report["offered"] == report["durable"] == report["queryable"], report
    assert report["ledger_residual"] == report["mismatched"] == report["missing"] == 0, report


def check_failed(done, why):
    assert done.returncode == 1 and why in done.stderr, (done.returncode, done.stderr[-2000:])
    assert why in json.loads(done.stdout)["failed"], done.stdout


def test_a_run_that_fills_its_log_says_so_at_once():
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as data:
        # the definitions alone take more
        done = run(data, "weir", 1000000, "--seconds", "1", "--log-bytes", str(128 << 20))
    check_failed(done, "the log is full")


def test_a_run_in_memory_is_refused_and_leaves_nothing():
    data = f"/dev/shm/weir-bench-{os.getpid()}"
    check_failed(run(data, "weir", 12000), "tmpfs")
    assert not os.path.exists(data)
    done = subprocess.run([WEIR, "bench", "--overload", "--json", "--data", data],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    check_failed(done, "tmpfs")
    assert not os.path.exists(data)


def in_a_network(*commands):
    """Runs shell commands in a network namespace of their own, ended with it."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        raise tap.Skip("needs root, unshare and ip")
    done = subprocess.run(["unshare", "-n", "sh", "-c", " && ".join(commands)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        raise tap.Skip("no network namespace can be made here")
    return done


def test_frames_whose_address_is_taken_are_refused():
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="weir-bench-") as data:
        for address in ("198.51.100.1", "198.51.100.2"):
            done = in_a_network(
                "ip link set lo up", f"ip address add {address}/32 dev lo",
                f"{WEIR} bench --source veth --socket --series 1200 --seconds 1 --rate 1000 "
                f"--json --data {data}")
            check_failed(done, f"{address} on lo")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
