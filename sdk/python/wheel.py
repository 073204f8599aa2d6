#!/usr/bin/env python3
"""Make the wheel of the Python package: wheel.py VERSION LIBRARY FOLDER

The wheel has libcloudskin.so inside and nothing that depends on a version of Python. It is named for the C library that
the built one needs, so that pip refuses an older system. The same input gives the same bytes. Needs no package."""

import base64
import hashlib
import platform
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SONAME = "libcloudskin.so.0"

METADATA = """Metadata-Version: 2.1
Name: cloudskin
Version: {version}
Summary: Objects of CloudSkin's store: client and fsspec file system
License: Apache-2.0
Requires-Python: >=3.9
Provides-Extra: fsspec
Requires-Dist: fsspec >=2022.11.0 ; extra == 'fsspec'
Classifier: Operating System :: POSIX :: Linux
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

"""
ENTRY_POINTS = "[fsspec.specs]\ngeds = cloudskin.fs:GedsFileSystem\n"


def platform_tag(library):
    """Of the newest symbol version of glibc that the library asks for."""
    versions = [int(n) for n in re.findall(rb"GLIBC_2\.(\d+)", library)]
    return f"manylinux_2_{max(versions, default=17)}_{platform.machine()}"


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def contents(version, library, tag):
    """name -> bytes, in order."""
    files = {f"cloudskin/{path.name}": path.read_bytes()
             for path in sorted((HERE / "cloudskin").iterdir()) if path.suffix == ".py" or path.name == "py.typed"}
    told = re.search(rb'__version__ = "([^"]+)"', files["cloudskin/__init__.py"]).group(1).decode()
    if told != version:
        sys.exit(f"wheel.py: the package says that it is {told}, the build {version}")
    files[f"cloudskin/{SONAME}"] = library
    info = f"cloudskin-{version}.dist-info"
    files[f"{info}/METADATA"] = (METADATA.format(version=version) + (HERE / "README.md").read_text()).encode()
    files[f"{info}/WHEEL"] = ("Wheel-Version: 1.0\nGenerator: cloudskin\nRoot-Is-Purelib: false\n"
                              f"Tag: py3-none-{tag}\n").encode()
    files[f"{info}/entry_points.txt"] = ENTRY_POINTS.encode()
    files[f"{info}/LICENSE"] = (HERE.parent.parent / "LICENSE").read_bytes()
    record = "".join(record_line(name, data) for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    return files


def main():
    version, library, folder = sys.argv[1], Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    tag = platform_tag(library)
    for old in folder.glob("cloudskin-*.whl"):
        old.unlink()
    target = folder / f"cloudskin-{version}-py3-none-{tag}.whl"
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in contents(version, library, tag).items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name.endswith(SONAME) else 0o100644) << 16
            wheel.writestr(entry, data)
    part.replace(target)


if __name__ == "__main__":
    main()
