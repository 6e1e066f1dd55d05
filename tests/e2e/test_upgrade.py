"""Data directories of earlier programs start for ever (tests/golden/data.py made them)."""
import json
import os
import shutil
import socket
import struct
import sys
import tarfile
import tempfile
import time

import tap
from instance import SCRATCH, Instance, free_port, parse_ok, wait_for

GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden")


class Old:
    """An instance on an unpacked copy."""

    def __init__(self, version, name):
        self.folder = tempfile.mkdtemp(prefix="weir-upgrade-", dir=SCRATCH)
        folder = os.path.join(GOLDEN, f"data_v{version}")
        with tarfile.open(os.path.join(folder, f"{name}.tar.xz")) as tar:
            tar.extractall(self.folder)
        with open(os.path.join(folder, "samples.json")) as file:
            self.sent = json.load(file)[name]
        self.weir_udp = free_port(socket.SOCK_DGRAM)
        self.weir = Instance(*self.sent["options"], "--weir-udp", f"127.0.0.1:{self.weir_udp}",
                             data=os.path.join(self.folder, "data"))

    def __enter__(self):
        self.weir.__enter__()
        return self

    def __exit__(self, *error):
        self.weir.__exit__(*error)
        if error[0] is None:
            shutil.rmtree(self.folder)

    def log(self, name):
        return os.path.join(self.weir.data, "log", "0", name)

    def check_samples(self):
        """Each sample that was sent is there, bit for bit, and no other of its metrics."""
        start = self.sent["start_ms"] // 1000
        for metric, series in self.sent["samples"].items():
            found = {}
            for labels, points in self.weir.raw(metric, start - 10, start + 3600).items():
                found[labels] = [[round(t * 1000), struct.pack(">d", v).hex()] for t, v in points]
            wanted = {tuple(sorted(json.loads(labels).items())): points
                      for labels, points in series.items()}
            assert found == wanted, (metric, found, wanted)
        fills = self.sent["fills"]
        for n in range(fills - 250, fills, 10):
            (points,) = self.weir.raw("fill_f", start - 10, start + 3600, n=str(n)).values()
            assert [v for _, v in points] == [float(n)], (n, points)

    def check_names(self):
        """Old series are known: their lines define nothing."""
        weir, now = self.weir, int(time.time())
        assert weir.metrics()["weir_series"] == self.sent["series"]
        lines = "".join(f"fill,n={n},pad={'x' * 8000} f=1 {now * 10**9}\n"
                        for n in range(0, self.sent["fills"], 97))
        lines += f"cpu,host=h0,round=0 v0=1 {now * 10**9}\n"
        assert parse_ok(weir.send_tcp(lines.encode()))[:2] == (lines.count("\n"), 0)
        assert weir.metrics()["weir_series"] == self.sent["series"]
        assert weir.metrics()["weir_definitions_lost_total"] == 0
        assert weir.metrics()["weir_log_frames_corrupt_total"] == 0

    def check_sender_state(self):
        """Packets that came are duplicates."""
        before = self.weir.metrics()["weir_sequence_duplicates_total"]
        channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.connect(("127.0.0.1", self.weir_udp))
        packets = self.sent["packets"]
        for packet in packets:
            channel.send(bytes.fromhex(packet))
        wait_for(lambda: self.weir.metrics()["weir_sequence_duplicates_total"] ==
                 before + len(packets), "all are duplicates")


def check(name):
    with Old(1, name) as old:
        old.check_samples()
        old.check_sender_state()
        old.check_names()
        old.weir.stop()
        old.weir.start()  # what this program made of it
        old.check_samples()
        old.check_sender_state()
        old.check_names()


def test_a_log_of_version_1_is_read():
    check("plain")


def test_a_recycled_log_of_version_1_is_read_after_a_kill():
    check("recycled")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
