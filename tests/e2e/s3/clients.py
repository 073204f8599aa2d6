"""Install the S3 clients of clients.txt into the cache, and print the folder of their programs."""

import fcntl
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cloudskin"
VENV = CACHE / "peers" / "s3"

VENV.parent.mkdir(parents=True, exist_ok=True)
lock = open(VENV.parent / "s3.lock", "w")  # tests that run at the same time install them once
fcntl.flock(lock, fcntl.LOCK_EX)
pins, mark = HERE / "clients.txt", VENV / "pins"
if not mark.exists() or mark.read_text() != pins.read_text():
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True, stdout=sys.stderr)
    subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
                    "--no-deps", "-r", pins], check=True, stdout=sys.stderr, timeout=300)
    mark.write_text(pins.read_text())
print(VENV / "bin")
