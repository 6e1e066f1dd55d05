"""The smallest runner: every test_* function of a module is a test, one TAP line each."""
import signal
import sys
import time
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here; the text says what is missing."""


def interrupt(*_):
    raise KeyboardInterrupt("terminated")


def main(module):
    # the limit of a test run ends us so: a test then still stops what it has started
    signal.signal(signal.SIGTERM, interrupt)
    tests = [(name, value) for name, value in vars(module).items() if name.startswith("test_")]
    if len(sys.argv) > 1:
        tests = [t for t in tests if any(word in t[0] for word in sys.argv[1:])]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for at, (name, test) in enumerate(tests, 1):
        began = time.monotonic()
        try:
            test()
            print(f"ok {at} - {name}")
        except Skip as reason:
            print(f"ok {at} - {name} # SKIP {reason}")
        except BaseException as error:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            print(f"not ok {at} - {name}")
            if isinstance(error, KeyboardInterrupt):
                raise
        print(f"# {name} took {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(1 if failed else 0)
