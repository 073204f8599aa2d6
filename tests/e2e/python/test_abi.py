"""What the package says about cloudskin/geds.h is what a compiler makes of it."""

import ctypes
import os
import subprocess

from cloudskin import Code, EventKind, Place, SpillRule, Tier, _native

STRUCTS = {
    "geds_error": _native.Error,
    "geds_status": _native.Status,
    "geds_bucket": _native.Bucket,
    "geds_attribute": _native.Attribute,
    "geds_attributes": _native.Attributes,
    "geds_info": _native.Info,
    "geds_condition": _native.Condition,
    "geds_query": _native.Query,
    "geds_entry": _native.Entry,
    "geds_page": _native.Page,
    "geds_finding": _native.Finding,
    "geds_check": _native.Check,
    "geds_event": _native.Event,
    "geds_watched": _native.Watched,
    "geds_location": _native.Location,
    "geds_moved": _native.Moved,
    "geds_tier": _native.Tier,
}


def test_structures_and_codes_are_those_of_the_header(tmp_path):
    lines, want = [], []
    for name, kind in STRUCTS.items():
        lines.append(f'printf("%zu\\n", sizeof(struct {name}));')
        want.append(ctypes.sizeof(kind))
        for field, *_ in kind._fields_:
            at = getattr(kind, field)
            field = field.rstrip("_")
            lines.append(f'printf("%zu\\n%zu\\n", offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field}));')
            want += [at.offset, at.size]
    for code in Code:
        lines.append(f'printf("%d\\n", GEDS_{code.name});')
        want.append(int(code))
    for kind in EventKind:
        lines.append(f'printf("%d\\n", GEDS_{kind.name});')
        want.append(int(kind))
    for rule in SpillRule:
        lines.append(f'printf("%d\\n", GEDS_SPILL_{rule.name});')
        want.append(int(rule))
    for place, name in zip(Place, ("GEDS_IN_MEMORY", "GEDS_ON_DISK", "GEDS_ON_NODES", "GEDS_IN_TIER")):
        lines.append(f'printf("%d\\n", {name});')
        want.append(int(place))
    lines.append('printf("%d\\n", GEDS_LIST_MAX);')
    want.append(_native.LIST_MAX)
    source = tmp_path / "abi.c"
    source.write_text("#include <stdio.h>\n#include <cloudskin/geds.h>\nint main(void) {\n" + "\n".join(lines) + "\n}\n")
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    subprocess.run(["cc", f"-I{os.environ['INCLUDE']}", source, "-o", tmp_path / "abi"], check=True, env=env)
    got = subprocess.run([tmp_path / "abi"], capture_output=True, text=True, check=True, env=env).stdout
    assert [int(line) for line in got.split()] == want


def test_a_tier_has_the_fields_of_its_structure():
    assert [name for name, *_ in _native.Tier._fields_] == list(Tier.__dataclass_fields__)


def test_every_code_has_its_exception():
    from cloudskin import errors

    for code in Code:
        if code != Code.OK:
            e = errors.error_of(code, "text", 7, "name")
            assert (e.code, e.offset, e.text, e.filename) == (code, 7, "text", "name") and e.errno
    assert errors.error_of(99, "text").code == Code.FORMAT
