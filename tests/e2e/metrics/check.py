"""Questions to a metrics endpoint, answered through Prometheus' own parsers (prometheus_client).

check.py URL value NAME[{LABEL="VALUE",...}]   print the value of one sample; 0: there is none
check.py URL sound                             both formats parse, say the same, and histograms hold together
check.py URL documented FILE                   the table in FILE names what is served, with type and help"""

import math
import re
import sys
import urllib.request

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def get(accept):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def samples(families):
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def check_histogram(family):
    series = {}
    for s in family.samples:
        labels = {k: v for k, v in s.labels.items() if k != "le"}
        of = series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if s.name.endswith("_bucket"):
            of["buckets"].append((float(s.labels["le"]), s.value))
        else:
            of[s.name[len(family.name) + 1:]] = s.value
    for labels, of in series.items():
        bounds, counts = zip(*of["buckets"])
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, (family.name, labels)
        assert list(counts) == sorted(counts) and counts[-1] == of["count"], (family.name, labels)
        assert of["sum"] >= 0 and (of["count"] > 0 or of["sum"] == 0), (family.name, labels)


def sound():
    kind, plain = get("*/*")
    assert kind == "text/plain; version=0.0.4; charset=utf-8", kind
    assert "# EOF" not in plain and plain.endswith("\n")
    old = list(text.text_string_to_metric_families(plain))
    kind, page = get(OPENMETRICS + ";q=0.75, text/plain;version=0.0.4;q=0.5")
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", kind
    assert page.endswith("# EOF\n")
    new = list(openmetrics.text_string_to_metric_families(page))
    assert [(f.name, f.type, f.documentation) for f in old] == [(f.name, f.type, f.documentation) for f in new]
    # what is asked for by this very program, and by time, may differ
    assert {k for k in samples(old)} <= {k for k in samples(new)}
    for family in old + new:
        assert family.name.startswith(("cloudskin_", "process_")) and family.documentation.endswith("."), family.name
        if family.type == "histogram":
            check_histogram(family)
    print(len(old), "families")


def documented(path):
    row = re.compile(r"\| `(\w+)` \| (\w+) \| ([\w, ]*) \| (.*) \|$")
    told = {m[1]: (m[2], m[4]) for m in map(row.match, open(path)) if m}
    served = {}
    labels = {m[1]: set(re.findall(r"\w+", m[3])) for m in map(row.match, open(path)) if m}
    for f in text.text_string_to_metric_families(get("*/*")[1]):
        name = f.name + ("_total" if f.type == "counter" else "")
        served[name] = (f.type, f.documentation)
        for s in f.samples:
            assert set(s.labels) - {"le"} == labels.get(name), (name, s.labels)
    for name in sorted(told.keys() | served.keys()):
        if told.get(name) != served.get(name):
            print(f"{name}: the page has {told.get(name)}, served is {served.get(name)}")
    assert told == served


def value(what):
    m = re.fullmatch(r"(\w+)(?:\{(.*)\})?", what)
    wanted = (m[1], tuple(sorted(re.findall(r'(\w+)="([^"]*)"', m[2] or ""))))
    got = samples(text.text_string_to_metric_families(get("*/*")[1])).get(wanted, 0)
    print(int(got) if got == int(got) else got)


url = sys.argv[1]
{"value": value, "sound": sound, "documented": documented}[sys.argv[2]](*sys.argv[3:])
