"""What people and devices do to DATA: files moved, cut, damaged, replaced, and no room left."""
import glob
import json
import os
import struct
import subprocess
import sys
import time

import tap
import wire
from instance import BIN, Instance, free_port, parse_ok, wait_for

NOW = int(time.time())
ROOM = 16 << 20  # the smallest segment


def segment(weir, index):
    return os.path.join(weir.data, "log", "0", "%016x.seg" % index)


def say(weir, text):
    """Sends lines that have to be taken; returns the durable offset."""
    lines = text.encode()
    answer = parse_ok(weir.send_tcp(lines))
    assert answer and answer[:2] == (lines.count(b"\n"), 0), (text[:200], answer)
    return answer[2]


def flip(path, offset, mask=1):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def values_of(weir, metric, **labels):
    return weir.raw(metric, NOW - 1000, NOW + 1000, **labels)


def test_the_name_of_lost_definitions_is_refused_at_every_door_and_never_stops_a_start():
    weir_port = free_port()
    with Instance("--weir-tcp", f"127.0.0.1:{weir_port}") as weir:
        say(weir, f"cpu,host=a v=1 {NOW}000000000\n")
        name = "weir_lost_definition"
        lines = "".join(f"{name},number={n} value=1\nweir_lost,number={n} definition=1\n"
                        for n in range(4)).encode()
        assert parse_ok(weir.send_tcp(lines))[:2] == (0, 8)
        plain = f"{name} 1 {NOW}\n{name};number=0 1 {NOW}\n".encode()
        assert parse_ok(weir.send_tcp(plain, weir.graphite_tcp))[:2] == (0, 2)
        points = f"{name},number=1 value=1\ngood value=1 {NOW}000000000\n"
        sent = subprocess.run([f"{BIN}/weir", "send", "--proto", "weir", "--tcp",
                               f"127.0.0.1:{weir_port}", "--lines", "influx"], input=points,
                              text=True, capture_output=True)
        assert "ok 2 1 " in sent.stdout, sent
        assert values_of(weir, name) == {}
        assert values_of(weir, "good") == {(): [(NOW, 1.0)]}
        assert weir.reason("samples", "rejected", "bad_labels") >= 10
        say(weir, f"disk,host=a v=1 {NOW}000000000\n")
        weir.stop()
        with open(segment(weir, 0), "rb") as file:
            at = file.read(65536).index(b"cpu_v")
        flip(segment(weir, 0), at)
        weir.start()
        assert values_of(weir, "disk_v") == {(("host", "a"),): [(NOW, 1.0)]}
        assert values_of(weir, name) == {(("number", "0"),): [(NOW, 1.0)]}
        # its samples stay its own: nobody adds any
        assert parse_ok(weir.send_tcp(f"{name},number=0 value=5\n".encode()))[:2] == (0, 1)
        assert values_of(weir, name) == {(("number", "0"),): [(NOW, 1.0)]}


def test_a_segment_put_back_after_senders_went_on_gives_one_series_with_all_samples():
    with Instance("--log-segment-size", "16MiB") as weir:
        say(weir, f"cpu,host=a usage=1 {NOW}000000000\ncpu,host=a usage=1 {NOW + 2}000000000\n")
        fill = "".join(f"fill,s={k} v={k * 7919 % 99991}.%d {NOW}000000000\n" for k in range(60000))
        end = 0
        while end < ROOM + 8192:
            end = say(weir, fill.replace("%d", str(end)))
        weir.stop()
        os.rename(segment(weir, 0), weir.data + ".away")
        weir.start()
        say(weir, f"cpu,host=a usage=2 {NOW + 1}000000000\ncpu,host=a usage=3 {NOW + 2}000000000\n")
        host = (("host", "a"),)
        assert values_of(weir, "cpu_usage") == {host: [(NOW + 1, 2.0), (NOW + 2, 3.0)]}
        weir.stop()
        os.rename(weir.data + ".away", segment(weir, 0))
        for more in range(2):
            weir.start()
            say(weir, f"cpu,host=a usage={4 + more} {NOW + 3}000000000\n")
            whole = [(NOW, 1.0), (NOW + 1, 2.0), (NOW + 2, 3.0), (NOW + 3, 4.0 + more)]
            assert values_of(weir, "cpu_usage") == {host: whole}
            assert values_of(weir, "fill_v", s=5).keys() == {(("s", "5"),)}
            status, body = weir.get("/api/v1/series", **{"match[]": "cpu_usage"})
            assert status == 200 and len(json.loads(body)["data"]) == 1, body
            assert json.loads(weir.get("/healthz")[1])["status"] == "ok"
            weir.stop()
        os.rename(segment(weir, 0), weir.data + ".away")
        weir.start()  # and away again
        assert values_of(weir, "cpu_usage")[host][0] == (NOW + 1, 2.0)
        os.unlink(weir.data + ".away")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
