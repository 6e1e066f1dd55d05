"""Names and values of any bytes: in every output harmless, and read back as they were sent."""
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.parse

import tap
import wire
from instance import BIN, PATIENCE, Instance, free_port, parse_ok, wait_for

# Each byte as a character, and some that steer text
CHARACTERS = [chr(c) for c in range(256)] + list("\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066"
                                                 "\u2069\ufffd\ufeff\U0001f30a")
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(raw):
    """The text, of which nothing but newlines may steer a terminal."""
    text = raw.decode("utf-8")
    found = HIDDEN.search(text)
    assert found is None, (found, text[max(0, found.start() - 40):found.end() + 40])
    return text


def unescape(text):
    """What WEIR_ESCAPE_TERMINAL and WEIR_ESCAPE_QUOTED say, as bytes."""
    out = b""
    for piece in re.findall(r'\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\.|[^\\]', text):
        if piece.startswith("\\x"):
            out += bytes([int(piece[2:], 16)])
        elif piece.startswith("\\u"):
            out += chr(int(piece[2:], 16)).encode()
        elif piece.startswith("\\"):
            out += {"n": "\n", "t": "\t", "r": "\r"}.get(piece[1], piece[1]).encode()
        else:
            out += piece.encode()
    return out.decode("utf-8")


def command(*words, data=None):
    return subprocess.run([os.path.join(BIN, "weir"), *words], input=data, capture_output=True,
                          timeout=PATIENCE)


class AnyBytes:
    """An instance that has taken each character in a value, a label's name and a metric's name."""

    def __init__(self):
        self.port = free_port()
        self.weir = Instance("--weir-tcp", f"127.0.0.1:{self.port}")

    def __enter__(self):
        self.weir.__enter__()
        self.values = [f"v{c}x" for c in CHARACTERS]
        self.names = [f"n{c}x" for c in CHARACTERS if c != "\0"]
        self.metrics = [f"m{c}x" for c in CHARACTERS]
        self.now = int(time.time())
        common = [("job", "bytes")]
        self.send(1, [("__name__", "bytes_value"), *common], [[("v", v)] for v in self.values])
        self.send(2, [("__name__", "bytes_name"), *common], [[(n, "1")] for n in self.names])
        self.send(3, common, [[("__name__", m)] for m in self.metrics])
        self.send(4, [("__name__", "bytes_name"), *common], [[("n\0x", "1")]])  # refused
        wait_for(lambda: self.weir.ledger()[0][("samples", "stored")] == 3 * len(CHARACTERS) - 1,
                 "all but one are stored")
        assert self.weir.reason("samples", "rejected", "no_template") == 1
        return self

    def send(self, template, common, series):
        count = len(series)
        packets = wire.packet(7, 1, 0, [wire.definition(template, 7, count, 0, common, series)],
                              flags=wire.UNNUMBERED)
        packets += wire.packet(7, 1, template, [wire.group(template, 7, 0, list(range(count)))],
                               self.now * 1000)
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            connection.sendall(packets)
            answer = b""
            while len(answer) < wire.ACK.size:
                piece = connection.recv(4096)
                assert piece, "the connection was closed"
                answer += piece

    def __exit__(self, *reason):
        self.weir.__exit__(*reason)

    def query(self, *words):
        done = command("query", "--http", f"127.0.0.1:{self.weir.http}", *words)
        assert done.returncode == 0 and done.stderr == b"", done
        return harmless(done.stdout)

    def get(self, path, **parameters):
        status, body = self.weir.get(path, **parameters)
        assert status == 200, body
        return json.loads(harmless(body))


def test_every_endpoint_answers_names_and_values_as_they_were_sent():
    with AnyBytes() as sent:
        series = sent.get("/api/v1/series", **{"match[]": '{job="bytes"}'})["data"]
        assert sorted(s["v"] for s in series if s["__name__"] == "bytes_value") == \
            sorted(sent.values)
        assert sorted(n for s in series if s["__name__"] == "bytes_name" for n in s
                      if n not in ("__name__", "job")) == sorted(sent.names)
        assert sorted(s["__name__"] for s in series if len(s) == 2) == sorted(sent.metrics)
        assert sorted(sent.get("/api/v1/label/v/values")["data"]) == sorted(sent.values)
        assert set(sent.names) < set(sent.get("/api/v1/labels")["data"])
        assert set(sent.metrics) < set(sent.get("/api/v1/label/__name__/values")["data"])
        times = {"agg": "raw", "from": sent.now, "to": sent.now + 1}
        for i, value in enumerate(sent.values):
            answer = sent.get("/api/v1/metrics/query", metric="bytes_value", v=value, **times)
            assert answer["series"][0]["points"] == [[sent.now, i]], (value, answer)
        for i, metric in enumerate(sent.metrics):
            if "\0" in metric:
                continue  # no parameter holds a zero byte
            answer = sent.get("/api/v1/metrics/query", metric=metric, **times)
            assert (answer["metric"], answer["series"][0]["points"][0][1]) == (metric, i), answer
        for name in sent.names:
            path = "/api/v1/label/" + urllib.parse.quote(name, safe="") + "/values"
            assert sent.get(path)["data"] == ["1"], name
        for path in ("/metrics", "/healthz", "/", "/api/v1/senders"):
            status, body = sent.weir.get(path)
            assert status == 200 and harmless(body), path
        # what is refused is told in a harmless way too
        everything = "".join(CHARACTERS[1:])
        for path, parameters in (("/api/v1/metrics/query", {"metric": "m", "from": everything}),
                                 ("/api/v1/metrics/query", {"metric": everything + "()"}),
                                 ("/api/v1/metrics/query", {"metric": "bytes_value", everything: 1}),
                                 ("/api/v1/labels", {"match[]": everything}),
                                 ("/api/v1/labels", {"end": everything})):
            status, body = sent.weir.get(path, **parameters)
            assert status == 400 and "error" in json.loads(harmless(body)), body
        # bytes that are no characters
        for byte in range(0x80, 0x100):
            status, body = sent.weir.get(f"/api/v1/metrics/query?metric=m%{byte:02x}")
            assert status == 200 and json.loads(harmless(body))["metric"] == "m\ufffd", body


def test_every_command_prints_names_and_values_so_that_they_read_back():
    with AnyBytes() as sent:
        values = [unescape(line) for line in sent.query("--values", "v").splitlines()]
        assert sorted(values) == sorted(sent.values)
        assert set(sent.names) < {unescape(line) for line in sent.query("--labels").splitlines()}
        metrics = {unescape(line) for line in sent.query("--values", "__name__").splitlines()}
        assert set(sent.metrics) < metrics
        lines = sent.query("--series", "bytes_value").splitlines()
        read = [unescape(re.fullmatch(r'bytes_value\{job="bytes",v="(.*)"\}', line)[1])
                for line in lines]
        assert sorted(read) == sorted(sent.values)
        # each line chooses the series that it names, and no other
        times = ("--agg", "raw", "--from", str(sent.now), "--to", str(sent.now + 1))
        lines += [line for line in sent.query("--series", "job=bytes").splitlines()
                  if "bytes_value" not in line and "\\x00" not in line]
        assert len(lines) == 3 * len(CHARACTERS) - 2
        for line in lines[::7]:
            answer = sent.query(line, *times).splitlines()
            assert answer[0] == line and len(answer) == 2, answer
        for words in (("senders", "--http", f"127.0.0.1:{sent.weir.http}"),
                      ("filter", "--data", sent.weir.data, "show")):
            done = command(*words)
            assert done.returncode == 0 and harmless(done.stdout + done.stderr), done
        json.loads(harmless(command("query", "--json", "--http", f"127.0.0.1:{sent.weir.http}",
                                    "--series", "job=bytes").stdout))


def test_what_influx_and_graphite_take_reads_back():
    with Instance() as weir:
        now = int(time.time())
        taken = {"influx": set(), "graphite": set()}
        pieces = [bytes([byte]) for byte in range(256)] + [c.encode() for c in CHARACTERS[128:]]
        for piece in pieces:
            text = {"influx": b"ib,k=a" + piece + b"z v=1 " + str(now).encode(),
                    "graphite": b"gb;k=a" + piece + b"z 1 " + str(now).encode()}
            for proto, port in (("influx", weir.influx_tcp), ("graphite", weir.graphite_tcp)):
                if parse_ok(weir.send_tcp(text[proto] + b"\n", port))[:2] == (1, 0):
                    taken[proto].add(f"a{piece.decode()}z")
        for proto, metric in (("influx", "ib_v"), ("graphite", "gb")):
            assert len(taken[proto]) > 128 + 90, len(taken[proto])
            body = weir.get("/api/v1/label/k/values", **{"match[]": metric})[1]
            read = set(json.loads(harmless(body))["data"])
            # a comma, a semicolon or an equals sign may begin something else
            assert taken[proto] - read <= {"a,z", "a;z", "a=z", "a z", "a\\z"}, taken[proto] - read
            done = command("query", "--http", f"127.0.0.1:{weir.http}", "--values", "k", metric)
            assert {unescape(line) for line in harmless(done.stdout).splitlines()} == read


def parse_logfmt(line):
    """{key: value} of one event, by the rules of logfmt with JSON's escapes; fails otherwise."""
    found = {}
    at = 0
    while at < len(line):
        match = re.compile(r'([A-Za-z_]+)=("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*"'
                           r'|[^\s"=\\]*)(?: |$)').match(line, at)
        assert match, (line, at)
        found[match[1]] = json.loads(match[2]) if match[2].startswith('"') else match[2]
        at = match.end()
    return found


def test_every_event_is_a_line_of_logfmt():
    odd = "data \" \\ = \u00e9\u009b\u202e"
    with AnyBytes() as sent:
        everything = bytes(range(1, 256)).replace(b"\n", b"")
        for _ in range(3):  # what no parser takes
            sent.weir.send_udp(b"bad," + everything)
            sent.weir.send_tcp(everything + b"\n", sent.weir.graphite_tcp)
        # the lines that were refused, as they are shown
        rows = sent.get("/api/v1/rejected")["rejected"]
        assert any(row["text"].startswith("\x01\x02") for row in rows), rows
        done = command("rejected", "--http", f"127.0.0.1:{sent.weir.http}")
        assert done.returncode == 0 and "\\x01\\x02" in harmless(done.stdout), done
        sent.weir.replace("controlplane")
        sent.weir.replace("dataplane")
        command("filter", "--data", sent.weir.data, "deny", "192.0.2.1")
        log = sent.weir.log_path
        sent.weir.stop()
        lines = [line for line in harmless(open(log, "rb").read()).splitlines()
                 if line.startswith("ts=")]
        assert len(lines) > 10 and all(parse_logfmt(line)["event"] for line in lines)
    # a folder of the user, in events, in what is printed and in the configuration
    with Instance() as weir:
        path = os.path.join(weir.data, odd)
        os.mkdir(path)
        with Instance(data=path) as inner:
            inner.kill("dataplane")
            inner.replace("dataplane")
            inner.stop()
            text = harmless(open(inner.log_path, "rb").read())
        assert "\\u009b\\u202e" in text, text
        for line in text.splitlines():
            if line.startswith("ts="):
                parse_logfmt(line)
        # the key that is lost is named by its file
        os.unlink(os.path.join(path, "key"))
        with Instance(data=path) as inner:
            inner.stop()
            events = [parse_logfmt(line) for line in open(inner.log_path).read().splitlines()
                      if line.startswith("ts=")]
        assert os.path.join(path, "key") in [e.get("file") for e in events], events


def test_every_command_is_harmless_with_arguments_of_any_bytes():
    everything = bytes(range(1, 256))
    plain = everything.replace(b"=", b"").replace(b"{", b"")
    for words in ((everything,), ("query", "--http", everything, "m"), ("query", "x", everything),
                  ("query", "m" + "{", everything), ("query", everything), ("help", everything),
                  ("query", "--step", everything, "m"), ("query", "--" + "x", everything),
                  ("senders", "--http", everything), ("send", "--udp", everything),
                  ("send", "--tcp", "127.0.0.1:1", everything), ("send", "--proto", everything),
                  ("send", "--udp", "127.0.0.1:9", plain), ("filter", "--data", everything, "show"),
                  ("filter", everything), ("check", "--data", everything), ("check", everything),
                  ("check", "--config", everything), ("check", "--port", everything),
                  ("run", "--data", everything), ("run", "--influx-udp", everything),
                  ("doctor", "--data", everything), ("doctor", everything),
                  ("check", "lines", everything), ("rejected", "--http", everything),
                  ("bench", "--source", everything), ("bench", everything)):
        done = command(*words)
        assert done.returncode in (0, 1, 2), (words, done)
        harmless(done.stdout)
        harmless(done.stderr)
        assert done.returncode == 0 or done.stderr or done.stdout, done
    found = json.loads(harmless(command("doctor", "--json", "--data", everything).stdout))
    assert all(finding["found"] for finding in found), found


def test_a_configuration_holds_each_path_or_refuses_it():
    with Instance() as weir:  # for a folder that goes with it
        for odd in ('a"b\\c', "c1\u0085\u009b", "bidi\u202e", "wave\U0001f30a", "x: [y] #z"):
            path = os.path.join(weir.data, odd)
            printed = command("check", "--data", path)
            assert printed.returncode == 0, printed
            harmless(printed.stdout)
            file = os.path.join(weir.data, "printed.yaml")
            with open(file, "wb") as out:
                out.write(printed.stdout)
            again = command("check", "--config", file)
            assert again.returncode == 0 and again.stdout == printed.stdout, again
        for bad in (b"/tmp/\xff", b"/tmp/\xed\xa0\x80"):
            done = command("check", "--data", bad)
            assert done.returncode == 2 and b"the path is not UTF-8" in done.stderr, done
        done = command("check", "--port", b"net_\xff")
        assert done.returncode == 2 and b"not UTF-8" in done.stderr, done


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
