"""The HTTP server as a stranger and a browser meet it."""
import base64
import gzip
import hashlib
import http.client
import json
import re
import socket
import sys
import time

import tap
from instance import Instance, wait_for

MIB = 1 << 20


def ask(weir, path, **headers):
    """Status, headers and body of a GET with just these headers."""
    client = http.client.HTTPConnection("127.0.0.1", weir.http, timeout=120)
    client.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": "127.0.0.1", **headers}.items():
        client.putheader(name.replace("_", "-"), value)
    client.endheaders()
    answer = client.getresponse()
    body = answer.read()
    client.close()
    return answer.status, answer.headers, body


def resident(weir, process):
    with open(f"/proc/{weir.pid(process)}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024


def test_clients_that_do_not_read_hold_bounded_memory():
    with Instance("--http-answers-max", "32MiB") as weir:
        base = int(time.time()) - 3000
        for f in range(30):
            lines = b"".join(b"q,s=%d v=%d.123456789012 %d\n" % (s, f * 7919 + s,
                             (base + f * 10) * 10**9) for s in range(9900))
            assert weir.send_tcp(lines).startswith(b"ok 9900 0 ")
        path = f"/api/v1/metrics/query?metric=q_v&from={base - 100}&to={base + 3000}&agg=raw"
        status, _, body = ask(weir, path)
        assert status == 200 and len(body) > 8 * MIB, (status, len(body))
        clients = []
        for _ in range(40):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", weir.http))
            client.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(client)
        # each is answered, refused, or cut off; the instance stays well and small
        most = 0

        def all_answered():
            nonlocal most
            values = weir.metrics()
            most = max(most, values["weir_http_answers_bytes"])
            return values["weir_queries_waiting"] == values["weir_queries_running"] == 0 and \
                values["weir_http_answers_refused_total"] + \
                values['weir_http_connections_cut_total{reason="slow"}'] > 0
        wait_for(all_answered, "forty queries are answered or refused")
        assert most <= 32 * MIB + 40 * 4096, most
        # answers that are held, two being made (and their packing), and what the reader takes
        assert resident(weir, "controlplane") < 350 * MIB, resident(weir, "controlplane")
        assert weir.get("/healthz")[0] == 200
        # somebody who reads gets the answer, once the slowest ones may be cut off
        wait_for(lambda: ask(weir, path)[0] == 200, "a reader is answered")
        for client in clients:
            client.close()


def test_answers_come_in_gzip_as_they_come_without():
    with Instance() as weir:
        now = int(time.time())
        lines = b"".join(b"z,s=%d v=%d %d\n" % (s, s, now * 10**9) for s in range(500))
        assert weir.send_tcp(lines).startswith(b"ok 500 0 ")
        path = f"/api/v1/metrics/query?metric=z_v&from={now}&to={now + 1}&agg=raw"
        status, headers, plain = ask(weir, path)
        assert status == 200 and headers["Content-Encoding"] is None
        assert len(json.loads(plain)["series"]) == 500
        status, headers, packed = ask(weir, path, Accept_Encoding="gzip, deflate")
        assert status == 200 and headers["Content-Encoding"] == "gzip", headers
        assert headers["Vary"] == "Accept-Encoding"
        assert len(packed) < len(plain) / 2 and gzip.decompress(packed) == plain
        status, headers, packed = ask(weir, "/metrics", Accept_Encoding="gzip")
        assert b"weir_epoch 1\n" in gzip.decompress(packed)


def test_the_page_may_use_its_own_style_alone():
    with Instance() as weir:
        status, headers, body = ask(weir, "/")
        policy = headers["Content-Security-Policy"]
        styles = re.findall(rb"<style>(.*?)</style>", body, re.S)
        hashes = ["'sha256-" + base64.b64encode(hashlib.sha256(style).digest()).decode() + "'"
                  for style in styles]
        assert status == 200 and len(styles) == 1 and f"style-src {hashes[0]};" in policy, policy
        assert b"<script" not in body and b" style=" not in body
        assert ask(weir, "/favicon.ico")[0] == 204


def test_requests_for_other_hosts_are_refused_unless_they_are_named():
    with Instance("--http-hosts", "weir.example,.below.example") as weir:
        for host, wanted in (("127.0.0.1", 200), (f"localhost:{weir.http}", 200),
                             (socket.gethostname(), 200), ("weir.example:80", 200),
                             ("a.below.example", 200), ("evil.example", 421),
                             ("weir.example.evil.example", 421), ("a b", 400)):
            for path in ("/", "/metrics", "/api/v1/labels", "/-/healthy"):
                status, _, body = ask(weir, path, Host=host)
                assert status == wanted, (host, path, status, body)


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
