"""PromQL over HTTP: samples in by Influx lines, answers out by Prometheus's API."""
import gzip
import http.client
import json
import socket
import sys
import time
import urllib.parse

from instance import Instance, parse_ok, wait_for
import tap

BEGIN = 1700000000  # seconds; every series has a sample each 15 s from here


class Prometheus:
    """The API of an instance, as its clients see it."""

    def __init__(self, weir):
        self.weir = weir

    def ask(self, path, method="GET", headers=None, **parameters):
        """Status and JSON of an answer."""
        text = urllib.parse.urlencode(parameters, doseq=True)
        connection = http.client.HTTPConnection("127.0.0.1", self.weir.http, timeout=120)
        head = dict(headers or {})
        if method == "POST":
            head["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("POST", path, text, head)
        else:
            connection.request(method, path + ("?" + text if text else ""), headers=head)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body)

    def query(self, query, time=BEGIN + 600, **parameters):
        status, answer = self.ask("/api/v1/query", query=query, time=time, **parameters)
        assert status == 200, (query, status, answer)
        return answer

    def range(self, query, start=BEGIN, end=BEGIN + 600, step=60, **parameters):
        status, answer = self.ask("/api/v1/query_range", query=query, start=start, end=end, step=step,
                                  **parameters)
        assert status == 200, (query, status, answer)
        return answer

    def refused(self, status, kind, part, path="/api/v1/query", **parameters):
        got, answer = self.ask(path, **parameters)
        assert got == status, (got, answer)
        assert answer["status"] == "error" and answer["errorType"] == kind, answer
        assert part in answer["error"], answer
        return answer


def send(weir, lines):
    answer = weir.send_tcp("".join(line + "\n" for line in lines).encode())
    assert parse_ok(answer)[0] == len(lines), answer


def fill(weir):
    """requests_total: a counter that rises by 15 k every 15 s on host k; load: a gauge."""
    lines = []
    for at in range(0, 601, 15):
        ns = (BEGIN + at) * 10**9
        for host in (1, 2, 3):
            lines.append(f"requests,host=web{host},zone=z{host % 2} total={at * host} {ns}")
        lines.append(f"servers,host=web1 load.avg={at / 1000} {ns}")
    send(weir, lines)


def test_instant_and_range_queries_answer_as_prometheus_does():
    with Instance("--retention-raw", "36500d") as weir:
        api = Prometheus(weir)
        fill(weir)
        names = api.ask("/api/v1/label/__name__/values")[1]["data"]
        name = next(n for n in names if n.startswith("requests"))
        answer = api.query(f'{name}{{host="web2"}}')
        assert answer == {"status": "success", "data": {"resultType": "vector", "result": [
            {"metric": {"__name__": name, "host": "web2", "zone": "z0"},
             "value": [BEGIN + 600, "1200"]}]}}, answer
        # a rate of k a second on host k
        answer = api.range(f"sum by (zone) (rate({name}[1m]))", start=BEGIN + 120, end=BEGIN + 240)
        assert answer["data"]["resultType"] == "matrix"
        assert [r["metric"] for r in answer["data"]["result"]] == [{"zone": "z0"}, {"zone": "z1"}]
        for result, value in zip(answer["data"]["result"], ("2", "4")):
            rounded = [[at, f"{float(rate):.12g}"] for at, rate in result["values"]]
            assert rounded == [[BEGIN + at, value] for at in (120, 180, 240)], result
        # matchers with regular expressions, which are anchored
        assert len(api.query(f'{name}{{host=~"web[12]"}}')["data"]["result"]) == 2
        assert len(api.query(f'{name}{{host!~"web[12]"}}')["data"]["result"]) == 1
        assert len(api.query(f'{name}{{host=~"eb1"}}')["data"]["result"]) == 0
        assert len(api.query('{__name__=~".+"}')["data"]["result"]) == 4
        # the other types
        assert api.query("1+1")["data"] == {"resultType": "scalar", "result": [BEGIN + 600, "2"]}
        assert api.query("'a'")["data"] == {"resultType": "string", "result": [BEGIN + 600, "a"]}
        matrix = api.query(f'{name}{{host="web1"}}[30s]')["data"]
        assert matrix["resultType"] == "matrix"
        assert matrix["result"][0]["values"] == [[BEGIN + 585, "585"], [BEGIN + 600, "600"]], matrix
        assert list(api.query("1")["data"]) == ["resultType", "result"]
        assert api.query("time()", time=BEGIN + 0.5)["data"]["result"] == [BEGIN + 0.5, str(BEGIN + 0.5)]
        # a sample is its series' value for five minutes
        assert len(api.query(name, time=BEGIN + 899)["data"]["result"]) == 3
        assert len(api.query(name, time=BEGIN + 901)["data"]["result"]) == 0
        assert len(api.query(name, time=BEGIN + 899, lookback_delta="1m")["data"]["result"]) == 0


def test_late_and_repeated_samples_are_sorted_and_the_last_one_counts():
    with Instance("--retention-raw", "36500d") as weir:
        api = Prometheus(weir)
        for at, value in ((30, 3), (10, 1), (20, 2), (20, 5), (30, 4)):
            send(weir, [f"late value={value} {(BEGIN + at) * 10**9}"])
        name = api.ask("/api/v1/label/__name__/values")[1]["data"][0]
        values = api.query(f"{name}[1m]", time=BEGIN + 30)["data"]["result"][0]["values"]
        assert values == [[BEGIN + 10, "1"], [BEGIN + 20, "5"], [BEGIN + 30, "4"]], values


def test_forms_limits_stats_and_warnings():
    with Instance("--retention-raw", "36500d") as weir:
        api = Prometheus(weir)
        fill(weir)
        status, answer = api.ask("/api/v1/query", method="POST", query="vector(1)", time=BEGIN)
        assert status == 200 and answer["data"]["result"][0]["value"] == [BEGIN, "1"], answer
        # the body's value counts before the URL's
        status, answer = api.ask("/api/v1/query?query=2", method="POST", query="1", time=BEGIN)
        assert answer["data"]["result"] == [BEGIN, "1"], answer
        answer = api.query('{host=~".+"}', limit=2)
        assert len(answer["data"]["result"]) == 2
        assert answer["warnings"] == ["results truncated due to limit"], answer
        assert "warnings" not in api.query('{host=~".+"}', limit=4)
        stats = api.query('{host=~".+"}', stats="true")["data"]["stats"]
        # twenty samples in the five minutes of each of four series
        assert stats["samples"]["totalQueryableSamples"] == 80, stats
        assert stats["timings"]["execTotalTime"] > 0
        answer = api.query("quantile(2, {host=~'.+'})")
        assert answer["warnings"] == [
            "PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"], answer
        assert answer["data"]["result"][0]["value"][1] == "+Inf"
        # one of equal texts, at its last place; numbers as Go prints them
        answer = api.query("quantile(1e6, {host='web1'}) + quantile(1000000, {host='web1'})")
        assert answer["warnings"] == ["PromQL warning: quantile value should be between 0 and 1, "
                                      "got 1e+06 (1:41)"], answer


def test_errors_have_prometheus_types_and_texts():
    with Instance("--query-series-max", "2", "--query-samples-max", "100",
                  "--retention-raw", "36500d") as weir:
        api = Prometheus(weir)
        fill(weir)
        at = {"time": BEGIN + 600}
        span = {"path": "/api/v1/query_range", "query": "1"}
        api.refused(400, "bad_data", 'invalid parameter "query": 1:6: parse error: unclosed left',
                    query="sum((")
        api.refused(400, "bad_data", 'invalid parameter "query": unknown position')
        api.refused(400, "bad_data", 'invalid parameter "time": cannot parse "x" to a valid timestamp',
                    query="1", time="x")
        api.refused(400, "bad_data", 'invalid parameter "start": cannot parse "" to a valid', **span)
        api.refused(400, "bad_data", "end timestamp must not be before start time", start=2, end=1,
                    step=1, **span)
        api.refused(400, "bad_data", "zero or negative query resolution", start=1, end=2, step=0,
                    **span)
        api.refused(400, "bad_data", "exceeded maximum resolution of 11,000 points", start=0,
                    end=11001, step=1, **span)
        api.refused(400, "bad_data", 'invalid parameter "limit": limit must be non-negative',
                    query="1", limit="-1")
        answer = api.refused(400, "bad_data", "parse error", query="sum(rate(servers.web1.load[5m]))")
        assert '{"servers.web1.load"}' in answer["hint"], answer
        api.refused(422, "execution", "query.series_max = 2", query='{host=~".+"}', **at)
        api.refused(422, "execution", "query.samples_max = 100", query='{host=~".+"}[10m]', **at)
        api.refused(422, "execution", "many-to-many", **at,
                    query='{zone="z1"} * on (zone) {zone="z1"}')
        status, answer = api.ask("/api/v1/query", method="DELETE")
        assert status == 405 and answer["status"] == "error", answer


def test_long_queries_come_in_forms():
    with Instance() as weir:
        api = Prometheus(weir)
        text = "1" + "\n+ 1" * 900 + " " * 120000
        status, answer = api.ask("/api/v1/query", method="POST", query=text, time=1)
        assert (status, answer["data"]["result"]) == (200, [1, "901"]), answer
        api.refused(400, "bad_data", "invalid parameter", query=text + " " * 20000, method="POST")
        api.refused(400, "bad_data", "invalid parameter", query="((" * 100000, method="POST")
        status = weir_post(weir, b"query=" + b"1" * (1 << 20))
        assert status == 413, status


def weir_post(weir, body):
    connection = http.client.HTTPConnection("127.0.0.1", weir.http, timeout=120)
    try:
        connection.request("POST", "/api/v1/query", body,
                           {"Content-Type": "application/x-www-form-urlencoded"})
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        return 413  # it was answered before all was sent
    finally:
        connection.close()


# Queries that ask for too much, and what they are answered: status, part of the error.
HOSTILE = [
    ("(" * 5000 + "1" + ")" * 5000, 400, "nested more than 1000 deep"),
    ("-" * 100000 + "1", 400, "nested more than 1000 deep"),
    ("'" + "a" * 200000 + "'", 400, "longer than 131072 bytes"),
    ("sum_over_time(vector(1)[1000000000s:1s])", 422, "at most 10000000"),
    ('{a=~"((((((a{1,100}){1,100}){1,100}){1,100}){1,100}))"}', 400, "invalid repetition size"),
    ('{a=~"(x+x+)+y"}', 200, ""),
    ("many_v * on () group_left () many_v", 422, "found duplicate series for the match group"),
    ('count_values("c", many_v)', 200, ""),
    ("many_v[1h:1ms]", 422, "query.memory_max"),
    ("topk(1e18, many_v)", 200, ""),
]


def test_hostile_queries_are_refused_or_bounded():
    with Instance("--retention-raw", "36500d", "--query-memory-max", "64MiB") as weir:
        api = Prometheus(weir)
        send(weir, [f"many,a=x{i},b=y{i % 2} v={i} {BEGIN * 10**9}" for i in range(3000)])
        for query, wanted, part in HOSTILE:
            began = time.monotonic()
            status, answer = api.ask("/api/v1/query", method="POST", query=query, time=BEGIN)
            print(f"# {query[:40]}: {status} after {(time.monotonic() - began) * 1000:.0f} ms")
            assert status == wanted and part in answer.get("error", ""), (query[:80], answer)
        status, answer = api.ask("/api/v1/query_range", query="many_v", start=BEGIN,
                                 end=BEGIN + 10999, step=1)
        assert status == 422 and "query.memory_max" in answer["error"], answer
        with open(f"/proc/{weir.pid('controlplane')}/status") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        print(f"# peak memory of the control plane: {peak // 1024} MiB")


def slow_query():
    """A query of many seconds that reads nothing."""
    return "sum_over_time((sum_over_time(vector(1)[1d:1s]))[1d:1s])"


def test_a_query_ends_at_its_deadline_and_when_its_client_leaves():
    with Instance("--query-timeout", "300ms") as weir:
        api = Prometheus(weir)
        began = time.monotonic()
        api.refused(503, "timeout", "query.timeout = 300ms", query=slow_query())
        print(f"# a query with a limit of 300 ms took {(time.monotonic() - began) * 1000:.0f} ms")
        api.refused(503, "timeout", "the limit is the parameter timeout", query=slow_query(),
                    timeout="20ms")
    with Instance() as weir:
        path = "/api/v1/query?" + urllib.parse.urlencode({"query": slow_query()})
        client = socket.create_connection(("127.0.0.1", weir.http))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(lambda: weir.metrics()["weir_queries_running"] == 1, "the query runs")
        client.close()
        began = time.monotonic()
        wait_for(lambda: weir.metrics()["weir_queries_running"] == 0, "it has ended")
        print(f"# a query ended {(time.monotonic() - began) * 1000:.0f} ms after its client left")
        name = 'weir_queries_total{endpoint="promql",outcome="cancelled"}'
        wait_for(lambda: weir.metrics()[name] == 1, "it is counted as cancelled")


def long_answer(weir, series):
    """A query whose answer takes some pieces, and its text without chunks."""
    rows = " or ".join(f"label_replace(sin(time() + vector({i})), 'a', '{i}', '', '')"
                       for i in range(series))
    query = urllib.parse.urlencode({"query": rows, "start": BEGIN, "end": BEGIN + 10000, "step": 1})
    client = socket.create_connection(("127.0.0.1", weir.http))
    client.sendall(f"GET /api/v1/query_range?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    whole = b""
    while piece := client.recv(1 << 16):
        whole += piece
    head, body = whole.split(b"\r\n\r\n", 1)
    assert f"Content-Length: {len(body)}".encode() in head, head
    return "/api/v1/query_range?" + query, body


def test_long_answers_come_in_pieces():
    with Instance() as weir:
        path, whole = long_answer(weir, 2)
        assert len(whole) > 600000 and len(json.loads(whole)["data"]["result"]) == 2, len(whole)
        for packed in (False, True):
            connection = http.client.HTTPConnection("127.0.0.1", weir.http, timeout=120)
            for _ in range(3):  # the connection goes on after each
                connection.request("GET", path, headers={"Accept-Encoding": "gzip"} if packed else {})
                answer = connection.getresponse()
                assert answer.getheader("Transfer-Encoding") == "chunked", answer.getheaders()
                assert answer.getheader("Content-Length") is None
                body = answer.read()
                assert (gzip.decompress(body) if packed else body) == whole
                if packed:
                    print(f"# {len(whole)} bytes are {len(body)} in gzip")
            connection.close()
        # one that fits a piece has its length
        connection = http.client.HTTPConnection("127.0.0.1", weir.http, timeout=120)
        connection.request("GET", "/api/v1/query?query=1")
        assert connection.getresponse().getheader("Transfer-Encoding") is None
        assert weir.metrics()["weir_http_answers_bytes"] < 65536


def test_a_slow_reader_of_pieces_takes_no_query_thread():
    with Instance() as weir:
        path, whole = long_answer(weir, 20)  # more than the kernel buffers
        readers = []
        for _ in range(4):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", weir.http))
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            readers.append(reader)
        wait_for(lambda: weir.metrics()["weir_http_answers_bytes"] > 0, "an answer waits")
        # others are answered meanwhile
        for _ in range(20):
            assert Prometheus(weir).query("1+1")["data"]["result"][1] == "2"
        wait_for(lambda: weir.metrics()["weir_queries_running"] == 0, "no thread is held")
        # a late reader gets all of it
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            piece = readers[0].recv(1 << 16)
            assert piece, "the answer ended early"
            body += piece
        body = body.split(b"\r\n\r\n", 1)[1]
        joined = b""
        while body:
            size, body = body.split(b"\r\n", 1)
            joined += body[:int(size, 16)]
            body = body[int(size, 16) + 2:]
        assert joined == whole
        # those that leave give their room back
        for reader in readers:
            reader.close()
        wait_for(lambda: weir.metrics()["weir_http_answers_bytes"] < 65536, "room is given back")
        cancelled = 'weir_queries_total{endpoint="promql_range",outcome="cancelled"}'
        wait_for(lambda: weir.metrics()[cancelled] == 3, "they are counted")


def test_memory_of_a_query_is_bounded():
    with Instance("--query-memory-max", "16MiB") as weir:
        Prometheus(weir).refused(422, "execution", "query.memory_max = 16777216",
                                 query="sum_over_time(vector(1)[10d:1s])")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
