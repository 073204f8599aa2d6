"""Install S3 clients into the cache, and print the folder of their programs.

clients.py       boto3, aws and s3cmd, of clients.txt
clients.py s3fs  the fsspec file system, of s3fs.txt: it needs another botocore
clients.py FILE  of another list of pins, FILE.txt

Each list of pins has a folder of its own, and one process at a time fills it: tests run beside each other, and so do
checkouts with different lists."""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cloudskin"

name = sys.argv[1] if len(sys.argv) > 1 else "clients"
pins = HERE / f"{name}.txt"  # a path stays one
venv = CACHE / "peers" / f"s3-{pins.stem}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
mark = venv / "complete"
venv.parent.mkdir(parents=True, exist_ok=True)
with open(venv.with_suffix(".lock"), "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not mark.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, stdout=sys.stderr)
        subprocess.run([venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
                        "--no-deps", "-r", pins], check=True, stdout=sys.stderr, timeout=300)
        mark.touch()
print(venv / "bin")
