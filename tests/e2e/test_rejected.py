"""Refused lines and packets: who sent them, by which listener, where, and what they say."""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time

import tap
import wire
from instance import BIN, Instance, free_port, parse_ok, wait_for

NOW = int(time.time())


class Ports:
    """An instance with a listener of each protocol and transport."""

    def __init__(self, *options):
        self.graphite_udp = free_port(socket.SOCK_DGRAM)
        self.weir_udp, self.weir_tcp = free_port(socket.SOCK_DGRAM), free_port()
        self.weir = Instance("--graphite-udp", f"127.0.0.1:{self.graphite_udp}",
                             "--weir-udp", f"127.0.0.1:{self.weir_udp}",
                             "--weir-tcp", f"127.0.0.1:{self.weir_tcp}", *options)

    def __enter__(self):
        self.weir.__enter__()
        return self

    def __exit__(self, *what):
        self.weir.__exit__(*what)

    def port(self, kind):
        return getattr(self, kind, None) or getattr(self.weir, kind)


def rejected(weir, **parameters):
    status, body = weir.get("/api/v1/rejected", **parameters)
    assert status == 200, (status, body)
    return json.loads(body)["rejected"]


def command(weir, *words):
    """Exit code and output of weir WORDS --http."""
    done = subprocess.run([os.path.join(BIN, "weir"), *words, "--http", f"127.0.0.1:{weir.http}"],
                          capture_output=True)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def send_from(kind, port, payload):
    """Sends, and returns the port it was sent from."""
    if kind.endswith("udp"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(payload, ("127.0.0.1", port))
            return sender.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(payload)
        sender.shutdown(socket.SHUT_WR)
        while sender.recv(4096):
            pass
        return sender.getsockname()[1]


def test_a_bad_line_is_found_on_every_protocol_and_port():
    good = {"influx": f"good v=1 {NOW}\n", "graphite": f"good 1 {NOW}\n", "weir": ""}
    bad = {"influx": b"bad v=\x1b[31m\n", "graphite": b"bad \x1b[31m 1\n", "weir": b"no packet" * 9}
    with Ports() as ports:
        weir = ports.weir
        for kind in ("influx_udp", "influx_tcp", "graphite_udp", "graphite_tcp", "weir_udp",
                     "weir_tcp"):
            proto = kind.split("_")[0]
            source = send_from(kind, ports.port(kind), good[proto].encode() + bad[proto])
            listener = f"{kind.replace('_', '-')} 127.0.0.1:{ports.port(kind)}"

            def found():
                return [r for r in rejected(weir) if r["listener"] == listener]
            rows = wait_for(found, f"{listener} has refused something")
            assert len(rows) == 1, rows
            row = rows[0]
            assert row["reason"] == ("bad_packet" if proto == "weir" else "bad_line"), row
            assert row["peer"] == f"127.0.0.1:{source}", (row, source)
            assert row["position"] == len(good[proto]), row
            assert row["text"].encode() == bad[proto].rstrip(b"\n"), row
            assert abs(row["time"] - time.time()) < 3600, row
            counted = (f'weir_listener_rejected_total{{listener="{listener}",'
                       f'reason="{row["reason"]}"}}')
            assert weir.metrics()[counted] == 1, counted
        code, text = command(weir, "rejected")
        assert code == 0 and text.count("from 127.0.0.1:") == 6, text
        assert "\x1b" not in text and "bad v=\\x1b[31m" in text, text
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  bad_", text), text
        code, text = command(weir, "rejected", "--reason", "bad_packet", "--limit", "1", "--json")
        assert code == 0 and len(json.loads(text)["rejected"]) == 1, text
        assert len(re.findall("event=rejected ", weir.log())) >= 2, weir.log()


def test_the_position_of_a_line_counts_over_a_whole_connection():
    with Instance() as weir:
        line = f"good,h=a v=1 {NOW}\n".encode()
        payload = line * 20000 + b"bad\n" + line * 5
        assert parse_ok(weir.send_tcp(payload))[:2] == (20005, 1)
        row = rejected(weir, reason="bad_line")[0]
        assert row["position"] == 20000 * len(line) and row["text"] == "bad", row


def test_refusals_of_labels_times_and_room_say_more():
    with Ports("--series-max", "1000") as ports:
        weir = ports.weir
        lines = [f"m,a=1,a=2 v=1 {NOW}", "m" + "".join(f",t{i}=x" for i in range(65)) + " v=1",
                 "m v=1 5"]
        assert parse_ok(weir.send_tcp("\n".join(lines + [""]).encode()))[:2] == (0, 3)
        assert [r["text"][:5] for r in rejected(weir)] == ["m v=1", "m,t0=", "m,a=1"], rejected(weir)
        assert "count=0" not in weir.log(), weir.log()
        # a name that only the log gives: the detail is its own, not that of the refusal before it
        lost = b"weir_lost_definition;number=0 1 %d\n" % NOW
        send_from("graphite_udp", ports.graphite_udp, lost)
        wait_for(lambda: [r for r in rejected(weir)
                          if r.get("detail") == "the name weir_lost_definition is reserved"],
                 "the reserved name is told")
        rows = {r.get("detail", r["reason"]): r for r in rejected(weir)}
        assert rows["label a given twice"]["text"] == lines[0], rows
        assert rows["more than 64 tags"]["position"] == len(lines[0]) + 1, rows
        assert rows["time_past"]["text"] == "m v=1 5", rows
        assert parse_ok(weir.send_tcp(b"weir_lost,a=1 definition=1\n"))[:2] == (0, 1)
        row = rejected(weir, reason="bad_labels")[0]
        assert row["detail"] == "the name weir_lost_definition is reserved", row
        assert parse_ok(weir.send_tcp(b"weir_lost,a=1 definition=1\n"))[:2] == (0, 1)
        row = rejected(weir, reason="bad_labels")[0]
        assert row["detail"] == "the name weir_lost_definition is reserved", row
        many = "".join(f"full,h=h{i} v=1 {NOW}\n" for i in range(1500))
        assert parse_ok(weir.send_tcp(many.encode()))[1] >= 500
        row = rejected(weir, reason="table_full")[0]
        assert row["text"].startswith("full_v{h=h") and "series.max" in row["detail"], row
        packet = wire.packet(4711, 1, 3, [wire.group(0, 1, 0, [1.0])], NOW * 1000)
        send_from("weir_udp", ports.weir_udp, packet)
        row = wait_for(lambda: rejected(weir, reason="no_template"), "no template is refused")[0]
        assert row["detail"] == "sender 4711 channel 0 sequence 3" and "text" not in row, row


def test_a_flood_of_bad_lines_keeps_a_few_and_counts_all():
    with Instance() as weir:
        assert parse_ok(weir.send_tcp(b"bad\n" * 100000))[:2] == (0, 100000)
        assert 1 <= len(rejected(weir, limit=400)) <= 16
        name = f'weir_listener_rejected_total{{listener="influx-tcp 127.0.0.1:{weir.influx_tcp}",' \
               'reason="bad_line"}'
        assert weir.metrics()[name] == 100000


def test_nothing_is_kept_where_the_setting_says_so():
    with Instance("--keep-rejected", "false") as weir:
        assert parse_ok(weir.send_tcp(b"password=secret\n"))[:2] == (0, 1)
        assert rejected(weir) == []
        assert any(k.startswith("weir_listener_rejected_total{") for k in weir.metrics())
        code, text = command(weir, "rejected")
        assert code == 0 and "keep_rejected" in text, text
        assert "secret" not in weir.log()


def test_parameters_that_make_no_sense_are_refused():
    with Instance() as weir:
        for parameters in ({"limit": "0"}, {"limit": "x"}, {"reason": "nonsense"}, {"other": "1"}):
            assert weir.get("/api/v1/rejected", **parameters)[0] == 400, parameters
        code, text = command(weir, "rejected", "--reason", "nonsense")
        assert code == 2 and "no such reason" in text, (code, text)


def answer_elsewhere(weir, port):
    """Asks by an address that is no loopback one, in a network namespace of our own."""
    connection = http.client.HTTPConnection("192.0.2.1", port)
    connection.request("GET", "/api/v1/rejected")
    answer = connection.getresponse()
    return answer.status, answer.read()


def inside_namespace():
    for words in ("link set lo up", "addr add 192.0.2.1/32 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    for admin, status in (("false", 403), ("true", 200)):
        port = free_port()
        weir = Instance("--http", f"0.0.0.0:{port}", "--api-admin", admin)
        weir.http = port
        with weir:
            assert answer_elsewhere(weir, port)[0] == status, (admin, answer_elsewhere(weir, port))
            assert weir.get("/api/v1/rejected")[0] == 200


def test_other_machines_are_refused_unless_api_admin_says_so():
    probe = subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True)
    if probe.returncode != 0:
        raise tap.Skip("no right to make a network namespace")
    done = subprocess.run(["unshare", "-n", sys.executable, __file__, "--inside-namespace"],
                          capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_check_lines_says_reason_line_and_column():
    lines = 'good v=1\nm,k= v=1\ncpu,host=a usage=12x\ns up="5 days\nm,a=1,a=2 v=1\nm v=1 5\n'
    check = [os.path.join(BIN, "weir"), "check", "lines", "-"]
    done = subprocess.run(check, input=lines.encode(), capture_output=True)
    assert done.returncode == 1, done
    for wanted in ("-:2:5: bad_line", "-:3:18: bad_line", "-:4:6: unclosed_string",
                   "-:5:1: bad_labels: label a given twice", "-:6:1: time_past", "5 refused"):
        assert wanted in done.stdout.decode(), (wanted, done.stdout)
    done = subprocess.run([*check, "--any-time"], input=b"m v=1 5\n", capture_output=True)
    assert done.returncode == 0, done
    graphite = [*check, "--proto", "graphite"]
    done = subprocess.run(graphite, input=b"a 1\na x 1\na 1 z\na 1 2 3\n", capture_output=True)
    for wanted in ("-:1:4: bad_line", "-:2:3: bad_line", "-:3:5: bad_line", "-:4:7: bad_line"):
        assert wanted in done.stdout.decode(), (wanted, done.stdout)
    assert subprocess.run([*check, "--proto", "weir"], capture_output=True).returncode == 2


if __name__ == "__main__":
    if "--inside-namespace" in sys.argv:
        inside_namespace()
    else:
        tap.main(sys.modules[__name__])
