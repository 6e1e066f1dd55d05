"""The keeper: the log becomes parts while samples come and queries go on."""
import fcntl
import json
import os
import random
import re
import signal
import sys
import threading
import time

from instance import NIGHTLY, Instance, parse_ok, wait_for
import tap

KEEPER = ("--keeper", "true", "--keeper-merge-interval", "100ms")
BEGIN = int(time.time()) - 3 * 3600  # samples lie in two partitions of two hours
MIB = 1 << 20


def send(weir, lines):
    answer = weir.send_tcp("".join(line + "\n" for line in lines).encode())
    assert parse_ok(answer)[0] == len(lines), answer


def metric(weir, name):
    text = weir.get("/metrics")[1].decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(found.group(1)) if found else None


def parts_ledger(weir):
    names = ("merged", "live", "superseded", "expired", "deleted", "damaged")
    return {n: metric(weir, f'weir_parts_ledger{{class="0",samples="{n}"}}') for n in names}


def wait_merged(weir):
    """Until all that is durable is in parts. Returns their ledger, which closes."""
    wait_for(lambda: metric(weir, "weir_keeper_offset") == metric(weir, "weir_durable_offset") and
             metric(weir, 'weir_keeper_state{state="idle"}') == 1, "everything is merged")
    ledger = parts_ledger(weir)
    assert ledger["merged"] == sum(v for k, v in ledger.items() if k != "merged"), ledger
    return ledger


class Senders:
    """What was sent and acknowledged: {host: {seconds: value}}."""

    def __init__(self, hosts):
        self.sent = {f"h{i}": {} for i in range(hosts)}
        self.samples = 0
        self.random = random.Random(7)

    def send(self, weir, lines):
        batch = []
        for _ in range(lines):
            host = self.random.choice(list(self.sent))
            at = BEGIN + self.random.randrange(3 * 3600)
            value = self.random.choice([self.random.random(), self.random.randrange(1000) / 10])
            batch.append((host, at, value))
        send(weir, [f"load,host={h} v={v!r} {t}000000000" for h, t, v in batch])
        for host, at, value in batch:
            self.sent[host][at] = value
        self.samples += lines

    def check(self, weir):
        answer = weir.raw("load_v", BEGIN - 1, BEGIN + 3 * 3600 + 1)
        got = {dict(labels)["host"]: dict(points) for labels, points in answer.items()}
        assert got == {h: s for h, s in self.sent.items() if s}, "answers are not what was sent"


def test_answers_are_the_same_before_and_after_a_merge():
    senders = Senders(20)
    with Instance() as weir:
        for _ in range(10):
            senders.send(weir, 300)
        senders.check(weir)
        before = weir.get("/api/v1/metrics/query", metric="load_v", agg="raw", **{"from": BEGIN, "to": BEGIN + 10800})
        weir.stop()
        weir.options += KEEPER
        weir.start()
        ledger = wait_merged(weir)
        assert ledger["merged"] == 3000 and ledger["damaged"] == 0, ledger
        after = weir.get("/api/v1/metrics/query", metric="load_v", agg="raw", **{"from": BEGIN, "to": BEGIN + 10800})
        assert after == before
        for _ in range(10):
            senders.send(weir, 300)
            senders.check(weir)
        wait_merged(weir)
        senders.check(weir)
        weir.stop()
        weir.options = []  # without a keeper parts are read all the same
        weir.start()
        senders.check(weir)


def test_keeper_killed_under_load_loses_and_doubles_nothing():
    senders = Senders(50)
    kills = 200 if NIGHTLY else 20
    with Instance(*KEEPER) as weir:
        stop = threading.Event()
        failed = []

        def load():
            try:
                while not stop.is_set():
                    senders.send(weir, 200)
            except BaseException as error:  # told by the test
                failed.append(error)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            for i in range(kills):
                time.sleep(senders.random.random() * 0.2)
                pid = weir.kill("keeper")
                wait_for(lambda: weir.pid("keeper") not in (None, pid), "another keeper")
        finally:
            stop.set()
            thread.join()
        assert not failed, failed
        ledger = wait_merged(weir)
        assert ledger["merged"] == senders.samples, (ledger, senders.samples)
        senders.check(weir)
        weir.kill("dataplane")
        weir.wait_open()
        senders.check(weir)


def test_log_that_turns_over_keeps_its_samples():
    """Four segments of 16 MiB hold a third of what is sent: the rest is in parts alone."""
    fields = 40
    options = (*KEEPER, "--log-segment-size", "16MiB", "--log-size-max", "64MiB")
    with Instance(*options) as weir:
        source = random.Random(3)
        block = "".join(f"big,host=h{i} " + ",".join(f"f{k}={source.random()!r}" for k in range(fields)) +
                        " @000000000\n" for i in range(1000))
        rounds = 420
        for n in range(rounds):
            answer = weir.send_tcp(block.replace("@", str(BEGIN + n)).encode())
            assert parse_ok(answer)[0] == 1000, answer
        ledger = wait_merged(weir)
        assert ledger["merged"] == ledger["live"] == rounds * 1000 * fields, ledger
        assert metric(weir, "weir_log_first_offset") > 0, "the log did not turn over"

        def count():
            status, body = weir.get("/api/v1/query", time=BEGIN + rounds, query=
                                    f'sum(count_over_time({{__name__=~"big_.*",host="h17"}}[{rounds + 1}s]))')
            assert status == 200, body
            return int(json.loads(body)["data"]["result"][0]["value"][1])

        assert count() == rounds * fields
        weir.stop()
        for name in manifests(weir):
            os.remove(name)
        weir.start()  # parts alone hold most of it, and say so themselves
        wait_for(lambda: "manifest_rebuilt" in weir.log(), "the event")
        ledger = wait_merged(weir)
        assert ledger["merged"] == ledger["live"] == rounds * 1000 * fields, ledger
        assert count() == rounds * fields
        weir.stop()
        weir.start()
        assert count() == rounds * fields


def test_second_keeper_is_refused_and_the_instance_goes_on():
    senders = Senders(3)
    weir = Instance(*KEEPER)
    os.makedirs(os.path.join(weir.data, "store"))
    with open(os.path.join(weir.data, "store", "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with weir:
            senders.send(weir, 50)
            senders.check(weir)
            wait_for(lambda: "another keeper has" in weir.log(), "the event")
            fcntl.flock(lock, fcntl.LOCK_UN)
            wait_merged(weir)
            senders.check(weir)


def manifests(weir):
    return [os.path.join(weir.data, "store", f"manifest.{i}") for i in range(2)]


def damage(name):
    with open(name, "r+b") as file:
        file.seek(100)
        file.write(b"\xff\xff")


def test_manifest_that_is_lost_is_made_anew():
    senders = Senders(3)
    with Instance(*KEEPER) as weir:
        for _ in range(5):
            senders.send(weir, 50)
            wait_merged(weir)
        weir.stop()
        damage(manifests(weir)[0])
        os.remove(manifests(weir)[1])
        weir.start()
        senders.send(weir, 50)
        wait_for(lambda: "manifest_rebuilt" in weir.log(), "the event")
        assert wait_merged(weir)["merged"] == senders.samples
        senders.check(weir)
        for name in manifests(weir):
            damage(name)
        pid = weir.kill("keeper")  # the others go on, and follow the new manifest
        wait_for(lambda: weir.pid("keeper") not in (None, pid), "another keeper")
        senders.send(weir, 50)
        assert wait_merged(weir)["merged"] == senders.samples
        senders.check(weir)
        assert weir.log().count("manifest_rebuilt") == 2


def test_damaged_block_of_the_log_costs_its_samples_and_is_kept():
    senders = Senders(3)
    with Instance() as weir:
        for _ in range(3):
            senders.send(weir, 400)
        weir.stop()
        segment = os.path.join(weir.data, "log", "0", sorted(
            name for name in os.listdir(os.path.join(weir.data, "log", "0")) if name.endswith(".seg"))[0])
        with open(segment, "rb") as file:
            data = file.read()
        frames = [at for at in range(0, len(data), 4096) if data[at:at + 4] == b"WERF"]
        assert len(frames) >= 3, frames
        at = len(data[:frames[-1]].rstrip(b"\0")) - 1  # the end of the last block of a frame
        with open(segment, "r+b") as file:
            file.seek(at)
            file.write(bytes([data[at] ^ 1]))
        weir.options += KEEPER
        weir.start()
        ledger = wait_merged(weir)
        assert ledger["merged"] == senders.samples and 0 < ledger["damaged"] <= 400, ledger
        names = os.listdir(os.path.join(weir.data, "aside"))
        assert len(names) == 1 and f".log-{frames[-2]}-" in names[0], (names, frames)
        kept = os.path.join(weir.data, "aside", names[0])
        assert os.stat(kept).st_mode & 0o777 == 0o600
        with open(kept, "rb") as file:
            block = file.read()
        begin = frames[-2] + int(names[0].split("-")[2].split(".")[0])
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        assert begin <= at < begin + len(block) and block == damaged[begin:begin + len(block)]


if __name__ == "__main__":
    tap.main(sys.modules[__name__])
