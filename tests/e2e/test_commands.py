"""Commands of weir against a running instance: what they understand, print and answer with."""
import json
import os
import resource
import re
import socket
import subprocess
import sys
import threading
import time

import tap
from instance import BIN, PATIENCE, Instance, free_port, parse_ok, wait_for


def weir_command(*words, data=None, text=True):
    return subprocess.run([os.path.join(BIN, "weir"), *words], capture_output=True, text=text,
                          input=data, timeout=PATIENCE)


class Asked:
    """An instance with a few series, and weir query to it."""

    def __init__(self):
        self.weir = Instance()

    def __enter__(self):
        self.weir.__enter__()
        self.now = int(time.time())
        text = (f"cpu,host=web1,core=0 usage=1.5 {self.now}\ncpu,host=web2 usage=2 {self.now}\n"
                f"mem,host=web1 value=3 {self.now}\n"
                f'odd\\ name,my\\ tag=a\\ "b"\\ \\c value=4 {self.now}\n')
        assert parse_ok(self.weir.send_tcp(text.encode()))[:2] == (4, 0)
        return self

    def __exit__(self, *reason):
        self.weir.__exit__(*reason)

    def query(self, *words, http=None):
        if http is None:
            http = f"127.0.0.1:{self.weir.http}"
        return weir_command("query", "--http", http, *words)


def test_query_prints_series_that_can_be_asked_for():
    with Asked() as asked:
        listed = asked.query("--series")
        assert listed.returncode == 0, listed
        lines = listed.stdout.splitlines()
        assert lines == ['cpu_usage{core="0",host="web1"}', 'cpu_usage{host="web2"}',
                         'mem{host="web1"}',
                         '{"odd name","my tag"="a \\"b\\" \\\\c"}'], lines
        for line, value in zip(lines, ("1.5", "2", "3", "4")):
            done = asked.query(line, "--agg", "raw")
            assert done.returncode == 0, done
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(asked.now))
            assert done.stdout == f"{line}\n  {stamp}  {value}\n", done
            assert asked.query(line, "--agg", "raw", "--from", stamp, "--to",
                               f"{asked.now + 1}").stdout == done.stdout
            assert asked.query("--series", line).stdout == line + "\n"


def test_query_answers_promql():
    with Asked() as asked:
        at = str(asked.now)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(asked.now))
        for words, said in (
                (("1+1", "--time", at), f"  {stamp}  2\n"),
                (('mem{host=~"web.*"}', "--time", at), f'mem{{host="web1"}}\n  {stamp}  3\n'),
                (("sum by (host) (cpu_usage)", "--time", at),
                 f'{{host="web1"}}\n  {stamp}  1.5\n{{host="web2"}}\n  {stamp}  2\n'),
                (("sum(nosuch)", "--time", at), "nothing at this time\n"),
                (("mem * 2", "--time", at, "--range", "1s", "--step", "1s"),
                 f'{{host="web1"}}\n  {stamp}  6\n'),
                (("cpu_usage", "--time", at, "--csv"),
                 f"__name__,core,host,time,value\ncpu_usage,0,web1,{at},1.5\n"
                 f"cpu_usage,,web2,{at},2\n")):
            done = asked.query(*words)
            assert (done.returncode, done.stdout, done.stderr) == (0, said, ""), (words, done)
        assert json.loads(asked.query("1", "--json").stdout)["data"]["resultType"] == "scalar"
        done = asked.query("quantile(2, mem)")
        assert "quantile value should be between 0 and 1" in done.stderr, done
        done = asked.query("mem")
        assert done.returncode == 0 and "--time now asks for it in PromQL" in done.stderr, done


def test_query_takes_relative_times_and_dates():
    with Asked() as asked:
        for times in (("--from", "-1h"), ("--from=now-1h", "--to", "now+1m"),
                      ("--from", time.strftime("%Y-%m-%d", time.gmtime(asked.now - 86400))),
                      ("--from", "now-2d", "--to", "+1m")):
            done = asked.query("mem", "--agg", "raw", *times)
            assert done.returncode == 0 and " 3\n" in done.stdout, (times, done)
        done = asked.query("mem", "--from", "-2d", "--to", "-1d")
        assert (done.returncode, done.stdout) == (0, "no series with samples in this range\n"), done


def test_query_takes_names_and_urls_of_an_instance():
    with Asked() as asked:
        port = asked.weir.http
        for http in (f"localhost:{port}", f"http://127.0.0.1:{port}", f"http://localhost:{port}/",
                     f"HTTP://127.0.0.1:{port}"):
            done = asked.query("mem", "--agg", "raw", http=http)
            assert done.returncode == 0 and " 3\n" in done.stdout, (http, done)
            assert weir_command("senders", "--http", http).returncode == 0
        for http, said in ((f"https://127.0.0.1:{port}", "http:// alone"), ("127.0.0.1:x", "port"),
                           (f"http://127.0.0.1:{port}/api", "without a path"), ("", "no address"),
                           ("127.0.0.1:70000", "port from 1 to 65535"), ("[::1", "no address")):
            done = asked.query("mem", http=http)
            assert done.returncode == 2 and said in done.stderr, (http, done)
            assert done.stderr.count("\n") == 1 and done.stdout == "", done


def test_query_says_what_it_did_not_understand():
    with Asked() as asked:
        for words, code, said in (
                (("rate(cpu_usage[5m]",), 2, "1:19: parse error: unclosed left parenthesis"),
                (("sum(servers.web1.load)",), 2, 'is quoted: {"servers.web1.load"}'),
                (("sum(mem)", "--agg", "max"), 2, "PromQL is asked at"),
                (("sum(mem)", "--range", "1h", "--from", "-1h"), 2, "--from goes with a metric"),
                (("sum(mem)", "x", "--time", "now"), 2, "one expression"),
                (("mem", "--time", "now", "--step", "5s"), 2, "--step goes with --range"),
                (('mem{host!="web1"}', "--agg", "max"), 2, "take the others"),
                (('mem{host="web1"}[5m]', "--agg", "max"), 2, "is no selector"),
                (('{host="web1"}', "--agg", "max"), 2, "the name of a metric comes first"),
                (("mem", "hots=web1"), 2, "hots is neither a parameter (metric, from, to, step, "
                                          "agg) nor a label of mem; a series of it has the labels "
                                          "host"),
                (("mem", "--step", "wide"), 2, "step=wide is not a duration: give seconds like"),
                (("mem", "--from", "yesterday"), 2, "from=yesterday is not a time"),
                (("--labels", "--from", "-1h"), 2, "--from: lists of labels and series have no"),
                (("--labels", "--series"), 2, "one of them"),
                (("nosuch",), 1, "no metric is called nosuch"),
                (("mem", "host=web9"), 1, "no series of mem has host=web9"),
                (("--values", "nosuch"), 1, "no series that was chosen has a label nosuch"),
                (("--series", "nosuch"), 1, "nothing matches")):
            done = asked.query(*words)
            assert done.returncode == code, (words, done)
            assert done.stderr.startswith("weir query: ") and said in done.stderr, (words, done)
            assert done.stderr.count("\n") == 1 and "error\":" not in done.stderr, done
        # lists take labels as well
        assert asked.query("--values", "host", "cpu_usage", "core=0").stdout == "web1\n"
        assert asked.query("--labels", "mem").stdout == "__name__\nhost\n"
        assert asked.query("--series", 'cpu_usage{host!="web1"}').stdout == \
            'cpu_usage{host="web2"}\n'


def test_api_says_what_it_did_not_understand():
    with Asked() as asked:
        for parameters, said in (({"metric": "rate(mem[5m])"}, "PromQL is asked at /api/v1/query"),
                                 ({"metric": "mem", "hots": "a"}, "hots is neither a parameter"),
                                 ({"metric": "mem", "start": "-1h"}, "start is neither")):
            status, body = asked.weir.get("/api/v1/metrics/query", **parameters)
            assert status == 400 and said in json.loads(body)["error"], (parameters, body)
        assert asked.weir.query("nosuch")["warnings"] == ["no metric is called nosuch"]
        assert asked.weir.query("mem", host="b")["warnings"] == ["no series of mem has host=b"]
        # Prometheus passes over what it does not know
        for path in ("/api/v1/labels", "/api/v1/label/host/values"):
            status, body = asked.weir.get(path, match="mem")
            answer = json.loads(body)
            assert status == 200 and answer["data"], body
            assert "parameter match is not known here" in answer["warnings"][0], body
            assert "warnings" not in json.loads(asked.weir.get(path, **{"match[]": "mem",
                                                                        "limit": "9"})[1])


def test_query_waits_for_nobody_without_limit():
    """What drips without end, and what is no HTTP, is given up."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers = [b"HTTP/1.1 200 OK\r\n\r\n", b"error this is a port for lines\n", b"\x1b[2J\x07"]

    def serve(connection, first):
        try:
            connection.sendall(first)
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    def accept():
        for first in answers:
            connection = listener.accept()[0]
            threading.Thread(target=serve, args=(connection, first), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    http = f"127.0.0.1:{listener.getsockname()[1]}"
    done = weir_command("query", "--http", http, "--timeout", "300ms", "mem")
    assert (done.returncode, done.stderr) == (1, f"weir query: {http} has not finished its answer "
                                                 "in 0.3 s\n"), done
    done = weir_command("query", "--http", http, "mem")
    assert done.returncode == 1 and "does not speak HTTP; it says 'e" in done.stderr, done
    done = weir_command("query", "--http", http, "mem")
    assert done.returncode == 1 and "it says '\\x1b" in done.stderr, done
    done = weir_command("query", "--http", http, "--timeout", "soon", "mem")
    assert done.returncode == 2 and "--timeout soon: not a duration" in done.stderr, done


def test_silent_clients_of_filter_cost_nobody_anything():
    with Instance() as weir:
        path = os.path.join(weir.data, "run/supervisor.sock")
        silent = []
        for _ in range(60):
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            client.sendall(b"sho")
            silent.append(client)
        done = weir_command("filter", "--data", weir.data, "show")
        assert done.returncode == 0 and "limit off" in done.stdout, done
        # the last of them is still listened to, the first had to leave
        silent[-1].sendall(b"w\n")
        assert silent[-1].makefile().readline() == "ok\n"
        assert silent[0].recv(100) == b""
        # a client that sends what is no line is told so, and is not waited for
        bad = socket.socket(socket.AF_UNIX)
        bad.connect(path)
        bad.sendall(b"\x1b[2J\n")
        assert bad.makefile().readline().startswith("error one line of printable ASCII")
        # the supervisor has its eyes on its children all the while
        weir.replace("controlplane")


def test_client_of_filter_is_refused_where_descriptors_are_out():
    with Instance() as weir:
        supervisor = weir.process.pid
        used = {int(name) for name in os.listdir(f"/proc/{supervisor}/fd")}
        free = min(set(range(len(used) + 1)) - used)
        before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (free, before[1]))
        for _ in range(3):
            done = weir_command("filter", "--data", weir.data, "show")
            assert done.returncode != 0 and "out of file descriptors" in done.stderr, done
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
        done = weir_command("filter", "--data", weir.data, "show")
        assert done.returncode == 0 and "limit off" in done.stdout, done


def stored_over_udp(weir, metric, count):
    """Values of the metric, once so many are there and nothing is under way."""
    def look():
        answer = weir.query(metric, agg="raw", from_="-1d", to="+1h")["series"]
        points = [value for series in answer for _, value in series["points"]]
        return points if len(points) >= count else None
    return wait_for(look, f"{count} samples of {metric}")


def test_the_page_of_the_configuration_has_the_options_as_weir_prints_them():
    printed = weir_command("run", "--help").stdout
    options = printed[printed.index("  --config"):printed.index("\nsizes: ")]
    with open(os.path.join(os.path.dirname(__file__), "../../docs/configuration.md")) as page:
        assert f"```\n{options}```\n" in page.read(), options


def test_send_ends_datagrams_between_records():
    with Instance() as weir:
        now = int(time.time())
        records = "".join(f'log,host=web01 msg="first\nsecond, \\"third\\"\n",v={i} {now - i}\n'
                          for i in range(400))
        done = weir_command("send", "--udp", f"127.0.0.1:{weir.influx_udp}", data=records)
        assert done.returncode == 0 and done.stderr == "", done
        assert re.fullmatch(r"sent 400 lines in \d+ datagrams\n", done.stdout), done
        assert sorted(stored_over_udp(weir, "log_v", 400)) == list(range(400))
        assert weir.reason("records", "rejected", "bad_line") == 0
        # where the log is in the file, and where the last line has no newline
        path = os.path.join(weir.data, "lines")
        with open(path, "w") as file:
            file.write("# comment\n\n" + records.replace("log,", "again,") + f"last v=1 {now}")
        done = weir_command("send", "--udp", f"127.0.0.1:{weir.influx_udp}", "--datagram", "200",
                            path)
        assert done.returncode == 0 and done.stdout.startswith("sent 401 lines in "), done
        assert len(stored_over_udp(weir, "again_v", 400)) == 400
        assert stored_over_udp(weir, "last_v", 1) == [1]


def test_send_tells_what_is_refused_over_udp():
    with Instance() as weir:
        now = int(time.time())
        lines = [f"good,i={i} v={i} {now}" for i in range(300)]
        for at, bad in ((50, "nonsense"), (100, 'open,host=a text="no end'),
                        (150, f'only text="words" {now}'), (200, "esc\x1b[2J"),
                        (250, "long v=1,s=\"" + "x" * 70000 + '"')):
            lines.insert(at, bad)
        done = weir_command("send", "--udp", f"127.0.0.1:{weir.influx_udp}",
                            data="\n".join(lines) + "\n")
        assert done.returncode == 1, done
        for said in ("refused, bad_line: nonsense\n", "refused, unclosed_string: open,host=a",
                     "refused, no_sample_accepted: only text", "refused, bad_line: esc\\x1b[2J\n",
                     "refused, line_too_long: long v=1", "5 records of these Weir refuses\n"):
            assert said in done.stderr, (said, done)
        assert "\x1b" not in done.stderr + done.stdout, done
        assert len(stored_over_udp(weir, "good_v", 300)) == 300  # none lost to a neighbour
        wait_for(lambda: weir.reason("records", "rejected", "bad_line") == 2, "they are counted")
        # the parser takes these two, and their labels are refused
        twice = f"m,a=1,a=2 v=1 {now}\nweir_lost definition=1\nfine v=1 {now}\n"
        done = weir_command("send", "--udp", f"127.0.0.1:{weir.influx_udp}", data=twice)
        assert done.returncode == 1 and "2 records of these Weir refuses" in done.stderr, done
        assert f"refused, bad_labels: m,a=1,a=2 v=1 {now}\n" in done.stderr, done
        assert stored_over_udp(weir, "fine_v", 1) == [1]
        done = weir_command("send", "--udp", f"127.0.0.1:{weir.influx_udp}", "--proto", "graphite",
                            data=f"a.b 1 {now}\nbad\n")
        assert done.returncode == 1 and "refused, bad_line: bad\n" in done.stderr, done


def test_send_knows_an_http_port():
    with Instance() as weir:
        done = weir_command("send", "--tcp", f"127.0.0.1:{weir.http}", data="m v=1\n")
        assert done.returncode == 1 and "speaks HTTP, which takes no lines" in done.stderr, done


def test_send_ends_the_last_line_of_a_file():
    with Instance() as weir:
        done = weir_command("send", "--tcp", f"127.0.0.1:{weir.influx_tcp}", data="m v=1\nm v=2")
        assert done.returncode == 0 and done.stdout.startswith("ok 2 0 "), done


def serve(answer, silent=False):
    """Takes connections, reads to their end, answers. Returns the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection):
        while connection.recv(65536):
            pass
        connection.sendall(answer)
        if not silent:
            connection.close()
        else:
            kept.append(connection)
    kept = []

    def accept():
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_send_reads_the_answer_strictly():
    for answer in (b"ok 99999999999999999999 -1 0\n", b"ok 1 0\n", b"ok 1 0 0 0\n", b"ok -1 0 0\n",
                   b"ok +1 0 0\n", b"ok 1 0 0", b"ok 1  0 0\n", b"ok 1 0 18446744073709551616\n",
                   b"ok 1 0 0\nmore\n", b"ok 1 0 0x\n", b"ok \n", b"OK 1 0 0\n",
                   b"\x1b[2Jok 1 0 0\n", b"ok 1 0 0" + b"0" * 400 + b"\n"):
        done = weir_command("send", "--tcp", serve(answer), data="m v=1\n")
        assert done.returncode == 1, (answer, done)
        assert "the answer is not `ok ACCEPTED REJECTED OFFSET`: not known to be durable" in \
            done.stderr, (answer, done)
        assert "\x1b" not in done.stdout + done.stderr, done
    done = weir_command("send", "--tcp", serve(b""), data="m v=1\n")
    assert done.returncode == 1 and "closed the connection without an answer" in done.stderr, done
    for answer, code in ((b"ok 1 0 18446744073709551615\n", 0), (b"ok 0 1 0\n", 1)):
        done = weir_command("send", "--tcp", serve(answer), data="m v=1\n")
        assert (done.returncode, done.stdout) == (code, answer.decode()), done


def test_send_waits_for_nobody_without_limit():
    for answer in (b"", b"ok 1 "):
        address = serve(answer, silent=True)
        done = weir_command("send", "--tcp", address, "--timeout", "200ms", data="m v=1\n")
        assert done.returncode == 1, done
        assert done.stderr == f"weir send: no answer of {address} in 0.2 s (--timeout): not " \
                              "known to be durable\n", done
    # one that takes no connection: its queue is full
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    address = f"127.0.0.1:{full.getsockname()[1]}"
    kept = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(full.getsockname())
        kept.append(client)
    done = weir_command("send", "--tcp", address, "--timeout", "300ms", data="m v=1\n")
    assert done.returncode == 1 and f"connect to {address}: no answer in 0.3 s" in done.stderr, done
    done = weir_command("send", "--proto", "weir", "--tcp", address, data="m v=1\n")
    assert done.returncode == 1 and f"connect to {address}: Connection timed out" in done.stderr
    # one that takes the connection and no bytes
    deaf = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{deaf.getsockname()[1]}"
    done = weir_command("send", "--tcp", address, "--timeout", "300ms", "--generate", "1000000")
    assert done.returncode == 1 and "takes nothing any more" in done.stderr, done


def test_send_takes_names():
    with Instance() as weir:
        done = weir_command("send", "--tcp", f"localhost:{weir.influx_tcp}", data="m v=1\n")
        assert done.returncode == 0 and done.stdout.startswith("ok 1 0 "), done
        done = weir_command("send", "--udp", f"localhost:{weir.influx_udp}", data="u v=1\n")
        assert done.returncode == 0, done
        stored_over_udp(weir, "u_v", 1)
        done = weir_command("send", "--udp", "127.0.0.1", data="u v=1\n")
        assert done.returncode == 2 and "has no port from 1 to 65535" in done.stderr, done


def test_help_and_version_are_commands():
    overview = weir_command("help")
    assert overview.returncode == 0 and weir_command("--help").stdout == overview.stdout
    commands = re.findall(r"^  ([a-z]+) ", overview.stdout, re.M)
    assert {"run", "query", "send", "help", "version"} <= set(commands), overview
    for command in commands:
        done = weir_command("help", command)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert done.stdout.startswith(f"usage: weir {command}"), done
        assert weir_command(command, "--help").stdout == done.stdout
    for words in (("version",), ("--version",)):
        done = weir_command(*words)
        assert done.returncode == 0 and re.fullmatch(r"weir \d+\.\d+\.\d+\n", done.stdout), done
    for words, said in ((("help", "querry"), "unknown command 'querry', is 'query' meant?"),
                        (("help", "query", "send"), "'send' is too much"),
                        (("version", "please"), "'please' is too much"),
                        (("qu\x1b[2Jery",), "unknown command 'qu\\x1b[2Jery'")):
        done = weir_command(*words)
        assert done.returncode == 2 and said in done.stderr and done.stdout == "", done
        assert "\x1b" not in done.stderr, done


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
