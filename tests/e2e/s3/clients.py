"""Install S3 clients into the cache, and print the folder of their programs.

clients.py       boto3, aws and s3cmd, of clients.txt
clients.py s3fs  the fsspec file system, of s3fs.txt: it needs another botocore"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cloudskin"

name = sys.argv[1] if len(sys.argv) > 1 else "clients"
pins, venv = HERE / f"{name}.txt", CACHE / "peers" / ("s3" if name == "clients" else name)
mark = venv / "pins"
if not mark.exists() or mark.read_text() != pins.read_text():
    venv.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, stdout=sys.stderr)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
                    "--no-deps", "-r", pins], check=True, stdout=sys.stderr, timeout=300)
    mark.write_text(pins.read_text())
print(venv / "bin")
