"""OpenTSDB's telnet protocol: puts over TCP and UDP, and what its senders are told."""
import os
import socket
import subprocess
import sys
import time

import tap
from instance import Instance, PATIENCE, free_port, parse_ok, wait_for

NOW = int(time.time())


class OpenTSDB(Instance):
    def __init__(self, *options):
        self.tcp = free_port()
        self.udp = free_port(socket.SOCK_DGRAM)
        super().__init__("--opentsdb-tcp", f"127.0.0.1:{self.tcp}",
                         "--opentsdb-udp", f"127.0.0.1:{self.udp}", *options)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.tcp), PATIENCE)


def closes(weir):
    sums, residual = weir.ledger()
    assert not any(residual.values()), (residual, sums)


def test_puts_over_tcp_and_udp_read_back():
    with OpenTSDB() as weir:
        lines = "".join(f"put sys.cpu {NOW} {i}.5 host=h{i} cpu=0\n" for i in range(100))
        lines += f"put sys.cpu {NOW}250 7 host=h0 cpu=0\n"
        answer = weir.send_tcp(lines.encode(), weir.tcp)
        assert parse_ok(answer)[:2] == (101, 0), answer
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(f"version\nput sys.mem {NOW} 8 host=h1\nput sys.mem {NOW} 9 host=h2".encode(),
                       ("127.0.0.1", weir.udp))
        wait_for(lambda: len(weir.raw("sys.mem", NOW - 1, NOW + 1)) == 2, "the datagram is stored")
        stored = weir.raw("sys.cpu", NOW - 1, NOW + 1)
        assert len(stored) == 100, stored
        assert stored[("cpu", "0"), ("host", "h0")] == [(NOW, 0.5), (NOW + 0.25, 7)], stored
        assert stored[("cpu", "0"), ("host", "h99")] == [(NOW, 99.5)], stored
        closes(weir)


def test_a_sender_that_stays_is_told_of_each_refused_line():
    """As tcollector does it: a version first, then lines, and the connection stays open."""
    with OpenTSDB() as weir, weir.connect() as sender:
        answers = sender.makefile("rb")
        sender.sendall(b"version\n")
        assert answers.readline().startswith(b"weir "), "a line comes back"
        sender.sendall(f"put a {NOW} 1 k=v\nput a x 1 k=v\nput a {NOW} 1 k=v k=w\nfoo bar\n".encode())
        told = sorted(answers.readline() for _ in range(3))
        assert told == [f"put: bad_labels: put a {NOW} 1 k=v k=w\n".encode(),
                        b"put: bad_line: put a x 1 k=v\n", b"unknown command: foo\n"], told
        wait_for(lambda: weir.raw("a", NOW - 1, NOW + 1), "the good line is stored")
        sender.sendall(b"exit\nput b 1 1 k=v\n")
        assert parse_ok(answers.readline())[:2] == (1, 3), "the last line says what became of all"
        assert answers.read() == b"", "and then it is closed"
        values = weir.metrics()
        assert values["weir_answers_sent_total"] == 4, values["weir_answers_sent_total"]
        assert not weir.raw("b", 0, NOW + 1)
        closes(weir)


def test_a_series_that_the_registrar_refuses_is_told_with_its_line():
    with OpenTSDB("--series-max", "1000") as weir:
        lines = "".join(f"put many {NOW} 1 k=v{i}\n" for i in range(1500))
        *told, last = weir.send_tcp(lines.encode(), weir.tcp).splitlines(keepends=True)
        accepted, rejected = parse_ok(last)[:2]
        assert accepted + rejected == 1500 and rejected >= 500, last
        assert len(told) == rejected, (len(told), rejected)
        for line in told:
            assert line.startswith((b"put: table_full: put many ", b"put: over_share: put many ")), line
        assert weir.reason("records", "rejected", "table_full") > 0
        closes(weir)


def test_a_sender_that_reads_no_answers_loses_them_and_nothing_else():
    with OpenTSDB() as weir, socket.socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender.settimeout(PATIENCE)
        sender.connect(("127.0.0.1", weir.tcp))
        bad = b"put " + b"x" * 200 + b" x 1 k=v\n"
        for _ in range(200):
            sender.sendall(bad * 200)
        sender.sendall(f"put behind {NOW} 1 k=v\n".encode())
        wait_for(lambda: weir.raw("behind", NOW - 1, NOW + 1), "the line after them is stored")
        values = weir.metrics()
        sent, dropped = values["weir_answers_sent_total"], values["weir_answers_dropped_total"]
        assert sent + dropped == 40000 and dropped > 0, (sent, dropped)
        sender.shutdown(socket.SHUT_WR)
        lines = sender.makefile("rb").read().splitlines(keepends=True)
        assert parse_ok(lines[-1])[:2] == (1, 40000), lines[-1]
        assert set(lines[:-1]) == {b"put: bad_line: " + bad}, "no line is cut"
        assert len(lines) - 1 == sent, (len(lines), sent)


def test_the_protocol_is_named_wherever_listeners_are():
    with OpenTSDB() as weir:
        weir.send_tcp(b"put a x 1 k=v\n", weir.tcp)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"put a x 1 k=v\n", ("127.0.0.1", weir.udp))
        wait_for(lambda: weir.reason("records", "rejected", "bad_line") == 2, "both are refused")
        listeners = [key for key in weir.metrics() if "rejected" in key and "opentsdb" in key]
        assert any(f"opentsdb-tcp 127.0.0.1:{weir.tcp}" in key for key in listeners), listeners
        assert any(f"opentsdb-udp 127.0.0.1:{weir.udp}" in key for key in listeners), listeners
        with weir.connect() as client:
            client.sendall(b"PUT /api/put HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"this port takes OpenTSDB put lines over TCP" in client.recv(4096)


def test_commands_of_weir_know_the_protocol():
    weir_binary = os.path.join(os.environ["WEIR_BIN"], "weir")
    done = subprocess.run([weir_binary, "check", "lines", "--proto", "opentsdb", "-"],
                          input=f"put a {NOW} 1 k=v\nput a {NOW} x k=v\nput a {NOW} 1 k=v k=w\n".encode(),
                          capture_output=True)
    out = done.stdout.decode()
    assert done.returncode == 1 and "-:2:18: bad_line" in out and "-:3:1: bad_labels" in out, out
    with OpenTSDB() as weir:
        for transport, port in (("tcp", weir.tcp), ("udp", weir.udp)):
            done = subprocess.run([weir_binary, "send", f"--{transport}", f"127.0.0.1:{port}",
                                   "--proto", "opentsdb", "--generate", "100", "--series", "10"],
                                  capture_output=True)
            assert done.returncode == 0, done
        wait_for(lambda: weir.ledger()[0]["samples", "stored"] == 200, "all are stored")
        assert len(weir.raw("weir.send", NOW - 60, NOW + 60)) == 10


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
