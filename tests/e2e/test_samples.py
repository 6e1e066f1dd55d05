"""Lines sent with any tool are answered bit-exact."""
import json
import random
import socket
import struct
import sys
import threading
import time

import tap
from instance import PATIENCE, Instance, bits, parse_ok, wait_for


def points_of(weir, metric, start, end, **labels):
    answer = weir.raw(metric, start, end, **labels)
    return list(answer.values())


def test_influx_over_udp_is_answered():
    with Instance() as weir:
        now = int(time.time())
        sent = time.monotonic()
        weir.send_udp(f"cpu,host=a usage=42.125 {now * 10**9}\n".encode())
        wait_for(lambda: points_of(weir, "cpu_usage", now - 10, now + 10), "the sample is there")
        print(f"# answered after {time.monotonic() - sent:.2f} s")
        assert weir.raw("cpu_usage", now - 10, now + 10) == {(("host", "a"),): [(now, 42.125)]}


def test_graphite_over_tcp_plain_and_tagged():
    with Instance() as weir:
        now = int(time.time())
        text = f"servers.web1.load 0.25 {now}\r\nload;host=b;dc=x 3 {now}\n"
        assert parse_ok(weir.send_tcp(text.encode(), weir.graphite_tcp))[:2] == (2, 0)
        assert weir.raw("servers.web1.load", now, now + 1) == {(): [(now, 0.25)]}
        assert weir.raw("load", now, now + 1) == {(("dc", "x"), ("host", "b")): [(now, 3.0)]}


def random_doubles(count):
    source = random.Random(7)
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 0.0, 9007199254740993.0, 1e22,
              1e23, 123456.789, -2.5e-7]
    while len(values) < count:
        value = struct.unpack("<d", source.randbytes(8))[0]
        if value == value and abs(value) != float("inf"):
            values.append(value)
    return values


def test_values_are_bit_exact_over_every_way_in():
    values = random_doubles(2000)
    now = int(time.time()) - 3000
    with Instance() as weir:
        influx = "".join(f"v,k=i f={v!r} {(now + i) * 10**9}\n" for i, v in enumerate(values))
        graphite = "".join(f"g {v!r} {now + i}\n" for i, v in enumerate(values))
        assert parse_ok(weir.send_tcp(influx.encode()))[:2] == (len(values), 0)
        assert parse_ok(weir.send_tcp(graphite.encode(), weir.graphite_tcp))[:2] == (len(values), 0)
        for metric in ("v_f", "g"):
            (points,) = points_of(weir, metric, now, now + len(values))
            assert [t for t, _ in points] == [now + i for i in range(len(values))]
            for (_, got), sent in zip(points, values):
                assert bits(got) == bits(sent), (metric, got, sent)


def test_an_answer_means_queryable():
    with Instance() as weir:
        now = int(time.time())
        for i in range(50):
            accepted, rejected, _ = parse_ok(weir.send_tcp(f"ack,n={i} v={i} {now * 10**9}\n".encode()))
            assert (accepted, rejected) == (1, 0)
            assert weir.raw("ack_v", now, now + 1, n=str(i)) == {(("n", str(i)),): [(now, float(i))]}


def test_answer_counts_records_not_comments():
    with Instance() as weir:
        text = (b"# comment\n\nm,a=b f=1\nm,a=b f=\nm,a=b s=\"text\",f=2\nm,a=b s=\"only text\"\r\n"
                b"m,a=b last=3\n")
        assert parse_ok(weir.send_tcp(text))[:2] == (3, 2)
        assert parse_ok(weir.send_tcp(b""))[:2] == (0, 0)
        assert parse_ok(weir.send_tcp(b"# only a comment\n"))[:2] == (0, 0)


def test_a_line_cut_anywhere_is_one_line():
    with Instance() as weir:
        now = int(time.time())
        line = f'cut,host=a\\ b text="x\\"\ny",f=1.5 {now * 10**9}\n'.encode()
        for cut in range(1, len(line)):
            with socket.create_connection(("127.0.0.1", weir.influx_tcp), PATIENCE) as sender:
                sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sender.sendall(line[:cut])
                time.sleep(0.001)
                sender.sendall(line[cut:])
                sender.shutdown(socket.SHUT_WR)
                assert parse_ok(sender.recv(100))[:2] == (1, 0), cut


def test_bad_lines_cost_only_themselves():
    with Instance() as weir:
        now = int(time.time())
        good = [f"g,i={i} f={i} {now * 10**9}" for i in range(200)]
        bad = ["nonsense", "m f=\"open", "=", "m,=x f=1", "\x00\x01", "m f=1 notatime", ",,,"]
        lines = []
        for i, line in enumerate(good):
            lines += [line, bad[i % len(bad)] if bad[i % len(bad)] != "m f=\"open" else "m f=x"]
        answer = parse_ok(weir.send_tcp("\n".join(lines).encode()))
        assert answer[:2] == (200, 200), answer
        assert len(weir.raw("g_f", now, now + 1)) == 200


def test_line_of_64_kib_and_longer():
    with Instance() as weir:
        fits = b'm f=1,s="' + b"x" * 60000 + b'"'
        long = b'm f=1,s="' + b"x" * 200000 + b'"'
        assert parse_ok(weir.send_tcp(fits + b"\nm f=2\n"))[:2] == (2, 0)
        assert parse_ok(weir.send_tcp(long + b"\nm f=2\n"))[:2] == (1, 1)
        assert weir.reason("records", "rejected", "line_too_long") == 1


def test_first_contact_over_tcp_is_held_back_and_not_refused():
    with Instance() as weir:
        now, count, answers = int(time.time()), 40000, {}

        def send(k):
            text = "".join(f"new,c={k},h={i} f={i} {now * 10**9}\n" for i in range(count))
            answers[k] = parse_ok(weir.send_tcp(text.encode()))
        senders = [threading.Thread(target=send, args=(k,)) for k in range(6)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert [answers[k][:2] for k in range(6)] == [(count, 0)] * 6, answers
        assert weir.metrics()["weir_series"] == 6 * count


def test_labels_and_series_endpoints():
    with Instance() as weir:
        assert parse_ok(weir.send_tcp(b"m,host=a,dc=x f=1\nm,host=b f=1\nn value=1\n"))[:2] == (3, 0)
        assert json.loads(weir.get("/api/v1/labels")[1]) == {
            "status": "success", "data": ["__name__", "dc", "host"]}
        assert json.loads(weir.get("/api/v1/label/host/values")[1])["data"] == ["a", "b"]
        assert json.loads(weir.get("/api/v1/label/__name__/values")[1])["data"] == ["m_f", "n"]
        series = json.loads(weir.get("/api/v1/series", **{"match[]": "m_f"})[1])["data"]
        assert sorted(s["host"] for s in series) == ["a", "b"]


def test_aggregation_over_buckets():
    with Instance() as weir:
        start = int(time.time()) // 60 * 60 - 600
        lines = "".join(f"agg f={i} {(start + i * 10) * 10**9}\n" for i in range(12))
        assert parse_ok(weir.send_tcp(lines.encode()))[0] == 12
        expect = {"avg": [2.5, 8.5], "min": [0, 6], "max": [5, 11], "sum": [15, 51],
                  "count": [6, 6], "last": [5, 11]}
        for agg, values in expect.items():
            answer = weir.query("agg_f", agg=agg, step="60", from_=start, to=start + 120)
            assert answer["resolution"] == "60s"
            assert answer["series"] == [{"labels": {}, "points":
                                         [[start, values[0]], [start + 60, values[1]]]}], answer


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
