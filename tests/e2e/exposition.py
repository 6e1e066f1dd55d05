"""A strict reader of Prometheus's text format 0.0.4, and the rules that promtool has for names.

https://prometheus.io/docs/instrumenting/exposition_formats/ and .../docs/practices/naming/
"""
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
VALUE = re.compile(r"[-+]?(\d+(\.\d+)?([eE][-+]?\d+)?|Inf)|NaN")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
# units that a base unit stands for
BAD_UNITS = {"ns", "us", "ms", "nanoseconds", "microseconds", "milliseconds", "minutes", "hours",
             "days", "kib", "mib", "kilobytes", "megabytes", "percent"}


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.type = name, text, None
        self.samples = {}  # (sample name, labels as a sorted tuple) -> value


def parse_labels(text, line):
    labels = []
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"no label at column {at}: {line}"
        labels.append((match.group(1), match.group(2)))
        at = match.end()
        if at < len(text):
            assert text[at] == ",", f"labels without a comma: {line}"
            at += 1
            assert at < len(text), f"a comma behind the last label: {line}"
    names = [name for name, _ in labels]
    assert len(set(names)) == len(names), f"a label twice: {line}"
    assert not any(name.startswith("__") for name in names), f"a reserved label: {line}"
    return tuple(sorted(labels))


def parse_sample(line):
    match = NAME.match(line)
    assert match, f"no name: {line}"
    name, rest = match.group(), line[match.end():]
    labels = ()
    if rest.startswith("{"):
        # a value may hold a brace: labels end where the grammar says
        end = re.match(r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}', rest)
        assert end, f"labels without end: {line}"
        labels, rest = parse_labels(rest[1:end.end() - 1], line), rest[end.end():]
    assert rest.startswith(" ") and not rest.startswith("  "), f"one blank, then a value: {line}"
    assert VALUE.fullmatch(rest[1:]), f"no value: {line}"
    return name, labels, float(rest[1:])


def belongs(family, sample):
    if family.type == "histogram":
        return sample in (family.name + s for s in ("_bucket", "_sum", "_count"))
    if family.type == "summary":
        return sample in (family.name, family.name + "_sum", family.name + "_count")
    return sample == family.name


def parse(body):
    """{family name: Family}; fails at the first thing that the format does not allow."""
    text = body.decode("utf-8")
    assert text.endswith("\n") and "\r" not in text
    families, open_family = {}, None
    for line in text.split("\n")[:-1]:
        assert line and line == line.strip(), f"an empty line, or blanks around it: {line!r}"
        if line.startswith("# HELP "):
            name, _, said = line[len("# HELP "):].partition(" ")
            assert NAME.fullmatch(name) and said, line
            assert not re.search(r"\\(?![\\n])", said), f"a stray backslash: {line}"
            assert name not in families, f"HELP twice, or a family in two places: {line}"
            open_family = families[name] = Family(name, said)
        elif line.startswith("# TYPE "):
            name, _, kind = line[len("# TYPE "):].partition(" ")
            assert kind in TYPES, line
            assert open_family and open_family.name == name, f"TYPE without HELP: {line}"
            assert open_family.type is None and not open_family.samples, f"TYPE twice: {line}"
            open_family.type = kind
        else:
            assert not line.startswith("#"), f"a comment that is neither: {line}"
            name, labels, value = parse_sample(line)
            assert open_family and open_family.type, f"a sample without family: {line}"
            assert belongs(open_family, name), f"{line} among {open_family.name}"
            assert (name, labels) not in open_family.samples, f"twice: {line}"
            open_family.samples[name, labels] = value
    for family in families.values():
        check_family(family)
    return families


def check_histogram(family):
    series = {}
    for (name, labels), value in family.samples.items():
        rest = tuple(label for label in labels if label[0] != "le")
        series.setdefault(rest, {})[name, dict(labels).get("le")] = value
    for labels, values in series.items():
        bounds = [(float(le), value) for (name, le), value in values.items()
                  if name == family.name + "_bucket"]
        assert bounds == sorted(bounds), f"{family.name}{labels}: buckets in no order"
        counts = [count for _, count in bounds]
        assert counts == sorted(counts), f"{family.name}{labels}: buckets are cumulative"
        assert bounds[-1][0] == float("inf"), f"{family.name}{labels}: no +Inf"
        assert counts[-1] == values[family.name + "_count", None], f"{family.name}{labels}"
        assert values[family.name + "_sum", None] >= 0, f"{family.name}{labels}: no sum"


def check_family(family):
    name, words = family.name, family.name.split("_")
    assert family.type != "untyped", name
    assert name == name.lower() and ":" not in name, name
    assert (family.type == "counter") == name.endswith("_total"), f"{name} is a {family.type}"
    for suffix in ("_count", "_sum", "_bucket"):
        assert not name.endswith(suffix), name
    for kind in ("counter", "gauge", "histogram", "summary"):
        assert kind not in words, f"{name} has its type in its name"
    assert not BAD_UNITS & set(words), f"{name} is in no base unit"
    if family.type == "histogram":
        check_histogram(family)
    for (_, labels), value in family.samples.items():
        assert family.type == "histogram" or "le" not in dict(labels), name
        assert family.type != "counter" or value >= 0, name
