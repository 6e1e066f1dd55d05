"""What /healthz, /-/ready and /-/healthy say while something is not as it should be."""
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time

import tap
from instance import BIN, SCRATCH, Instance, wait_for


def health(weir):
    status, body = weir.get("/healthz")
    return status, json.loads(body)


def degraded(weir):
    status, body = health(weir)
    assert (body["status"] == "degraded") == ("degraded" in body), body
    assert status == 200 or body["status"] == "unavailable", (status, body)
    return body.get("degraded", [])


def ready(weir):
    return weir.get("/-/ready")


def test_new_series_that_are_refused_degrade_the_instance():
    with Instance("--series-max", "10") as weir:
        now = time.time_ns()
        assert degraded(weir) == []
        lines = b"".join(b"full,n=%d v=1 %d\n" % (n, now) for n in range(11))
        assert weir.send_tcp(lines).startswith(b"ok 10 1 ")
        status, body = health(weir)
        assert status == 200 and body["status"] == "degraded", body
        assert body["degraded"] == ["series_full"] and body["ingest"] == "open", body
        values = weir.metrics()
        assert values['weir_degraded{reason="series_full"}'] == 1
        assert values['weir_degraded{reason="listener_drops"}'] == 0
        # it still takes what it knows
        assert weir.send_tcp(b"full,n=3 v=2 %d\n" % (now + 10**9)).startswith(b"ok 1 0 ")
        assert ready(weir) == (200, b"Weir is ready.\n")


def test_packets_that_a_listener_loses_degrade_the_instance():
    with Instance("--udp-buffer", "64KiB") as weir:
        def lose_some():
            before = weir.metrics()["weir_socket_drops_total"]
            weir.kill("dataplane", signal.SIGSTOP)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(2000):
                    sender.sendto(b"lost v=1\n" * 100, ("127.0.0.1", weir.influx_udp))
            weir.kill("dataplane", signal.SIGCONT)
            wait_for(lambda: weir.metrics()["weir_socket_drops_total"] > before, "drops are counted")
            return "listener_drops" in degraded(weir)
        # the first look at a socket's drops, right after the start, says nothing of when they were
        wait_for(lose_some, "degraded by listener_drops")


def test_alive_and_ready_are_two_questions():
    with Instance() as weir:
        assert weir.get("/-/healthy") == (200, b"Weir is healthy.\n")
        assert ready(weir) == (200, b"Weir is ready.\n")
        weir.kill("dataplane", signal.SIGSTOP)
        wait_for(lambda: ready(weir)[0] == 503, "a dataplane that hangs is not ready")
        assert ready(weir)[1].startswith(b"Weir is not ready: dataplane_hangs: "), ready(weir)
        assert weir.get("/-/healthy")[0] == 200
        weir.kill("dataplane", signal.SIGCONT)
        wait_for(lambda: ready(weir)[0] == 200, "ready again")


def held_dataplane(folder):
    """Binaries in folder whose dataplane starts once folder/hold is gone."""
    for name in ("weir", "weir-controlplane", "weir_xdp.bpf.o"):
        shutil.copy(os.path.join(BIN, name), folder)
    script = os.path.join(folder, "weir-dataplane")
    with open(script, "w") as file:
        file.write(f"#!/bin/sh\nwhile [ -e '{folder}/hold' ]; do sleep 0.05; done\n"
                   f"exec '{os.path.abspath(BIN)}/weir-dataplane' \"$@\"\n")
    os.chmod(script, 0o755)
    return os.path.join(folder, "hold")


def test_answers_while_a_dataplane_starts_say_that_they_may_lack_samples():
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        hold = held_dataplane(folder)
        with Instance(binaries=folder) as weir:
            now = int(time.time())
            assert weir.send_tcp(b"known v=1 %d\n" % (now * 10**9)).startswith(b"ok 1 0 ")
            assert len(weir.raw("known_v", now, now + 1)) == 1
            open(hold, "w").close()
            weir.kill("dataplane")
            wait_for(lambda: health(weir)[1]["queries"] == "not_current", "queries are not current")
            status, body = health(weir)
            assert (status, body["reason"]) == (503, "starting"), body
            assert "queries_not_current" in body["degraded"], body
            assert ready(weir)[1].startswith(b"Weir is not ready: starting: "), ready(weir)
            answer = weir.query("known_v", agg="raw", from_=now, to=now + 1)
            assert len(answer["series"]) == 1, "reads go on"
            assert answer["warnings"][0].startswith("the dataplane is starting, for "), answer
            answer = json.loads(weir.get("/api/v1/series", **{"match[]": "known_v"})[1])
            assert answer["warnings"][0].startswith("the dataplane is starting, for "), answer
            os.unlink(hold)
            weir.wait_open()
            wait_for(lambda: health(weir)[1]["queries"] == "current", "queries are current again")
            answer = weir.query("known_v", agg="raw", from_=now, to=now + 1)
            assert len(answer["series"]) == 1 and "warnings" not in answer, answer


def test_queries_of_a_control_plane_that_knows_nothing_yet_are_put_off():
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        hold = held_dataplane(folder)
        weir = Instance(binaries=folder)
        try:
            open(hold, "w").close()
            weir.start(wait=False)

            def asked():
                try:
                    return weir.get("/api/v1/labels")
                except OSError:
                    return None
            status, body = wait_for(asked, "the port is open")
            assert status == 503 and b"the log is not open yet: the dataplane is starting" in body
            assert health(weir)[1]["queries"] == "starting"
            os.unlink(hold)
            weir.wait_open()
            assert weir.get("/api/v1/labels")[0] == 200
        finally:
            weir.__exit__(*sys.exc_info())


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
