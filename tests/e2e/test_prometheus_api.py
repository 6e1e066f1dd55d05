"""The rest of Prometheus's HTTP API, and its clients: promtool, Grafana's and Perses's requests."""
import http.client
import json
import shutil
import subprocess
import sys

from instance import Instance
from test_promql import BEGIN, Prometheus, fill, send
import tap

OLD = ("--retention-raw", "36500d")
RANGE = {"start": BEGIN, "end": BEGIN + 600, "step": 60}


def names(api, path, **parameters):
    status, answer = api.ask(path, **parameters)
    assert status == 200 and answer["status"] == "success", answer
    return answer["data"]


def test_label_endpoints_take_selectors_times_and_escaped_names():
    with Instance(*OLD) as weir:
        api = Prometheus(weir)
        fill(weir)
        send(weir, [f"old,host=gone v=1 {(BEGIN - 86400) * 10**9}", f"new,a.b=x v=1 {BEGIN * 10**9}"])
        requests = next(n for n in names(api, "/api/v1/label/__name__/values") if n.startswith("req"))
        assert names(api, "/api/v1/labels") == ["__name__", "a.b", "host", "zone"]
        assert names(api, "/api/v1/labels", start=BEGIN - 90000, end=BEGIN - 80000) == [
            "__name__", "host"]
        assert names(api, "/api/v1/label/host/values", start=BEGIN) == ["web1", "web2", "web3"]
        assert names(api, "/api/v1/label/host/values") == ["gone", "web1", "web2", "web3"]
        assert names(api, "/api/v1/label/host/values", **{"match[]": f'{requests}{{zone=~"z0|q"}}'}
                     ) == ["web2"]
        assert names(api, "/api/v1/label/a.b/values") == ["x"]
        assert names(api, "/api/v1/label/U__a_2e_b/values") == ["x"]
        series = names(api, "/api/v1/series", method="POST",
                       **{"match[]": [f'{requests}{{host="web1"}}', '{host=~"g.*"}']})
        assert [s["host"] for s in series] == ["web1", "gone"], series
        assert names(api, "/api/v1/series", start=BEGIN, **{"match[]": '{host="gone"}'}) == []
        answer = api.refused(400, "bad_data", 'invalid parameter "match[]": 1:8: parse error',
                             path="/api/v1/series", **{"match[]": "servers.web1"})
        assert '{"servers.web1"}' in answer["hint"]
        api.refused(400, "bad_data", "it is no series selector", path="/api/v1/labels",
                    **{"match[]": "rate(x[5m])"})
        api.refused(400, "bad_data", "at least one non-empty matcher", path="/api/v1/labels",
                    **{"match[]": '{a=""}'})


def test_federation_gives_the_newest_samples_as_text():
    with Instance() as weir:
        send(weir, ["cpu,host=b v=2", "cpu,host=a v=1", "m.x,host=a v=1000000"])
        name = names(Prometheus(weir), "/api/v1/label/__name__/values")
        status, body = weir.get("/federate", **{"match[]": ['{host="a"}', '{host="b"}']})
        assert status == 200, body
        lines = [line.rsplit(" ", 1)[0] for line in body.decode().splitlines()]
        assert lines == [f"# TYPE {name[0]}", f'{name[0]}{{host="a"}} 1', f'{name[0]}{{host="b"}} 2',
                         f'# TYPE "{name[1]}"', f'{{"{name[1]}",host="a"}} 1e+06'], lines
        assert weir.get("/federate")[0] == 400


def test_queries_as_text_and_tree():
    with Instance() as weir:
        api = Prometheus(weir)
        query = 'sum by (a) (rate(x{b=~"c"}[5m] offset 1m)) > bool 2.50'
        assert names(api, "/api/v1/format_query", query=query) == (
            'sum by (a) (rate(x{b=~"c"}[5m] offset 1m)) > bool 2.5')
        tree = names(api, "/api/v1/parse_query", method="POST", query=query)
        assert (tree["type"], tree["op"], tree["bool"], tree["matching"]) == (
            "binaryExpr", ">", True, None), tree
        assert tree["rhs"] == {"type": "numberLiteral", "val": "2.5"}
        call = tree["lhs"]["expr"]
        assert tree["lhs"]["grouping"] == ["a"] and call["func"] == {
            "name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}, tree
        assert call["args"][0] == {
            "type": "matrixSelector", "name": "x", "range": 300000, "offset": 60000,
            "matchers": [{"name": "b", "value": "c", "type": "=~"},
                         {"name": "__name__", "value": "x", "type": "="}],
            "timestamp": None, "startOrEnd": None, "anchored": False, "smoothed": False}, call
        for path in ("format_query", "parse_query"):
            api.refused(400, "bad_data", 'invalid parameter "query": 1:5: parse error',
                        path="/api/v1/" + path, query="sum(")


def test_simple_forms():
    with Instance(*OLD) as weir:
        fill(weir)
        name = next(n for n in names(Prometheus(weir), "/api/v1/label/__name__/values")
                    if n.startswith("req"))

        def simple(**parameters):
            status, body = weir.get("/v1/query", **parameters)
            return status, json.loads(body)

        status, answer = simple(metric=name, start=BEGIN, end=BEGIN + 120, step="60s",
                                tags="host:web1,zone:z1")
        # the same buckets as those of Weir's own path, under other names
        own = weir.query(name, from_=BEGIN, to=BEGIN + 120, step="60s", host="web1")
        wanted = [{"tags": s["labels"], "points": s["points"]} for s in own["series"]]
        assert len(wanted) == 1 and len(wanted[0]["points"]) == 3, own
        assert (status, answer) == (200, {"metric": name, "resolution": "60s", "series": wanted})
        assert len(simple(metric=name, start=BEGIN, end=BEGIN + 60)[1]["series"]) == 3
        assert simple(metric=name)[1]["series"] == []  # nothing in the last hour
        for asked, said in (({"metric": name, "tags": "web1"}, "tags=web1 is not NAME:VALUE"),
                            ({"metric": name, "start": 2, "end": 1}, "start must be before end"),
                            ({}, "parameter metric is missing")):
            status, answer = simple(**asked)
            assert status == 400 and said in answer["error"], answer
        status, body = weir.get("/v1/query_range", query="vector(1)")
        result = json.loads(body)["data"]["result"]
        assert status == 200 and len(result[0]["values"]) == 61, body


def test_status_pages():
    with Instance(*OLD) as weir:
        api = Prometheus(weir)
        fill(weir)
        build = names(api, "/api/v1/status/buildinfo")
        assert build["version"].startswith("3.") and "features" not in build, build
        flags = names(api, "/api/v1/status/flags")
        assert flags["retention.raw"] == "36500d" and flags["http.cors"] == "[]", flags
        assert "127.0.0.0/8" in flags["ingest.trusted_sources"], flags
        assert "retention:" in names(api, "/api/v1/status/config")["yaml"]
        runtime = names(api, "/api/v1/status/runtimeinfo")
        assert runtime["corruptionCount"] == 0 and runtime["startTime"].endswith("Z"), runtime
        tsdb = names(api, "/api/v1/status/tsdb", limit=2)
        assert tsdb["headStats"]["numSeries"] == 4, tsdb
        assert tsdb["seriesCountByMetricName"][0]["value"] == 3, tsdb
        assert {"name": "host=web1", "value": 2} in tsdb["seriesCountByLabelValuePair"], tsdb
        assert tsdb["labelValueCountByLabelName"][0] == {"name": "host", "value": 3}, tsdb


def test_pages_of_other_origins_read_answers_where_a_setting_says_so():
    def ask(weir, method, origin):
        connection = http.client.HTTPConnection("127.0.0.1", weir.http, timeout=120)
        connection.request(method, "/api/v1/query?query=1", headers={"Origin": origin} if origin else {})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.getheader("Access-Control-Allow-Origin"), answer.getheader("Vary")

    with Instance() as weir:
        assert ask(weir, "GET", "https://a.example") == (200, None, "Accept-Encoding")
        assert ask(weir, "OPTIONS", "https://a.example")[0] == 405
    vary = "Accept-Encoding, Origin"
    with Instance("--http-cors", "https://A.example,http://b.example:3000") as weir:
        assert ask(weir, "GET", "https://a.example") == (200, "https://a.example", vary)
        assert ask(weir, "OPTIONS", "http://b.example:3000") == (204, "http://b.example:3000", vary)
        for other in ("http://a.example", "https://a.example.evil", "null", None):
            assert ask(weir, "GET", other) == (200, None, vary), other
        assert ask(weir, "OPTIONS", "http://c.example")[0] == 405
    with Instance("--http-cors", "*") as weir:
        assert ask(weir, "GET", "https://any.example") == (200, "*", vary)


def test_admin_paths_are_off():
    post = {"method": "POST"}
    with Instance() as weir:
        api = Prometheus(weir)
        for path in ("snapshot", "delete_series", "clean_tombstones"):
            status, answer = api.ask("/api/v1/admin/tsdb/" + path, **post)
            assert status == 403 and "api.admin" in answer["error"], answer
            assert api.ask("/api/v1/admin/tsdb/" + path)[0] == 405
    with Instance("--api-admin", "true") as weir:
        status, answer = Prometheus(weir).ask("/api/v1/admin/tsdb/snapshot", **post)
        assert status == 501 and answer["status"] == "error", answer


# What Grafana and Perses ask of a data source: (method, path, parameters, check of data).
REQUESTS = [
    # Grafana: save and test, version
    ("POST", "/api/v1/query", {"query": "1+1", "time": 4}, lambda d: d["result"] == [4, "2"]),
    ("GET", "/api/v1/status/buildinfo", {}, lambda d: d["version"]),
    ("GET", "/api/v1/metadata", {"limit": 1}, lambda d: d == {}),
    # label browser
    ("GET", "/api/v1/label/__name__/values", {"start": BEGIN, "end": BEGIN + 600}, len),
    ("GET", "/api/v1/labels", {"match[]": '{__name__="%s"}', "start": BEGIN, "end": BEGIN + 600},
     lambda d: "host" in d),
    ("GET", "/api/v1/label/host/values", {"match[]": '{__name__="%s"}', "start": BEGIN}, len),
    # variables: label_values(metric, host), query_result()
    ("GET", "/api/v1/series", {"match[]": "%s", "start": BEGIN, "end": BEGIN + 600},
     lambda d: len(d) == 3),
    ("POST", "/api/v1/query", {"query": "count by (host) (%s)", "time": BEGIN + 600},
     lambda d: d["resultType"] == "vector" and len(d["result"]) == 3),
    # panels, annotations, exemplars
    ("POST", "/api/v1/query_range", {"query": "sum(rate(%s[1m0s]))", **RANGE},
     lambda d: d["resultType"] == "matrix" and len(d["result"]) == 1),
    ("POST", "/api/v1/query_range", {"query": "%s > 100" + " " * 20000, **RANGE},
     lambda d: len(d["result"]) == 3),
    ("GET", "/api/v1/query_exemplars", {"query": "%s", "start": BEGIN, "end": BEGIN + 600},
     lambda d: d == []),
    ("GET", "/api/v1/rules", {}, lambda d: d == {"groups": []}),
    ("GET", "/api/v1/alerts", {}, lambda d: d == {"alerts": []}),
    ("GET", "/api/v1/targets", {"state": "active"}, lambda d: d["activeTargets"] == []),
    # Perses
    ("POST", "/api/v1/query", {"query": "%s", "time": BEGIN + 600}, lambda d: len(d["result"]) == 3),
    ("POST", "/api/v1/labels", {"match[]": "%s"}, lambda d: "zone" in d),
    ("GET", "/api/v1/parse_query", {"query": "%s"}, lambda d: d["type"] == "vectorSelector"),
    ("GET", "/api/v1/format_query", {"query": "%s"}, len),
]


def test_requests_of_grafana_and_perses():
    with Instance(*OLD) as weir:
        api = Prometheus(weir)
        fill(weir)
        name = next(n for n in names(api, "/api/v1/label/__name__/values") if n.startswith("req"))
        for method, path, parameters, check in REQUESTS:
            asked = {k: v.replace("%s", name) if isinstance(v, str) else v
                     for k, v in parameters.items()}
            data = names(api, path, method=method, **asked)
            assert check(data), (method, path, parameters, data)


def knows(command):
    """Whether this promtool has `check healthy` and `check ready`: that of Debian 12 has not."""
    run = subprocess.run(["promtool", "help", "check", command], capture_output=True, text=True,
                         timeout=120)
    known = "expected command" not in run.stdout + run.stderr and run.returncode == 0
    if not known:
        print(f"# this promtool has no `check {command}`")
    return known


def test_promtool():
    if shutil.which("promtool") is None:
        raise tap.Skip("promtool is missing: scripts/setup --test installs it")
    with Instance(*OLD) as weir:
        fill(weir)
        url = f"http://127.0.0.1:{weir.http}"
        name = next(n for n in names(Prometheus(weir), "/api/v1/label/__name__/values")
                    if n.startswith("req"))

        def promtool(*arguments):
            run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120)
            assert run.returncode == 0, (arguments, run.stdout, run.stderr)
            return run.stdout

        answer = promtool("query", "instant", f"--time={BEGIN + 600}", url, f'{name}{{host="web1"}}')
        assert answer.strip() == f'{name}{{host="web1", zone="z1"}} => 600 @[{BEGIN + 600}]', answer
        answer = promtool("query", "range", f"--start={BEGIN}", f"--end={BEGIN + 60}", "--step=30s",
                          url, f'{name}{{host="web2"}}')
        assert answer.splitlines()[1:] == [f"{v} @[{BEGIN + at}]" for at, v in
                                           ((0, 0), (30, 60), (60, 120))], answer
        answer = promtool("query", "series", f"--match={name}", f"--start={BEGIN}",
                          f"--end={BEGIN + 600}", url)
        assert len(answer.splitlines()) == 3 and 'host="web3"' in answer, answer
        answer = promtool("query", "labels", f"--start={BEGIN}", f"--end={BEGIN + 600}", url, "host")
        assert answer.split() == ["web1", "web2", "web3"], answer
        for what in ("healthy", "ready"):
            if knows(what):
                promtool("check", what, f"--url={url}")


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
