"""Stand between clients and the store, and lose what one of them is told.

lossy.py SOCKET STORE NUMBER FATE MESSAGE [COMMAND...]: connection NUMBER (from 1) is the one that something happens to
at its message MESSAGE:
  before   it is closed when the message comes, which the store never sees
  behind   the message is passed on, and it is closed before the answer comes back
  away     as before, and from then on nobody gets a connection
COMMAND is run before it is closed. All others are passed on. Ends with its standard input."""

import os
import socket
import subprocess
import sys
import threading

path, store, number, fate = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
which, command = int(sys.argv[5]), sys.argv[6:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(16)
print("ready", flush=True)


def copy(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def lose(client, upstream):
    for _ in range(which - 1):
        upstream.sendall(client.recv(1 << 16))
        client.sendall(upstream.recv(1 << 16))
    message = client.recv(1 << 16)
    if fate == "behind":
        upstream.sendall(message)
        upstream.recv(1 << 16)
    if fate == "away":
        listener.close()
        os.unlink(path)
    if command:
        subprocess.run(command, check=True)
    client.close()
    upstream.close()


def serve():
    count = 0
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(store)
        count += 1
        if count == number:
            threading.Thread(target=lose, args=(client, upstream), daemon=True).start()
            continue
        for pair in ((client, upstream), (upstream, client)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
