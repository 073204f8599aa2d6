"""A client of the store's protocol over sockets of Python's own: what no client of ours would send."""
import select
import socket
import ssl
import struct
import sys
import time

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def frame(kind, args=b"", data=b"", number=1, room=0):
    rest = struct.pack("<IIIIIHHII", len(args), len(data), number, 0, room, kind, 0, crc32c(args), crc32c(data))
    return struct.pack("<I", crc32c(rest)) + rest + args + data


def hello(token=None, lowest=1, highest=1):
    args = b"CSGEDSRP" + struct.pack("<HH", lowest, highest)
    if token is not None:
        args += struct.pack("<H", len(token)) + token.encode() + b"\0"
    return frame(0, args)


def read_all(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            raise EOFError(f"{len(data)} of {length} bytes")
        data += part
    return data


def answer(sock):
    """(code, text, bytes of data)"""
    head = struct.unpack("<IIIIIIHHII", read_all(sock, 36))
    args, data = read_all(sock, head[1]), read_all(sock, head[2])
    code = struct.unpack_from("<H", args)[0]
    return code, args[12:-1].decode() if code else "", data


def context(ca=None, cert=None, key=None, highest=ssl.TLSVersion.TLSv1_3):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.maximum_version = highest
    if ca is None:
        c.verify_mode = ssl.CERT_NONE
    else:
        c.load_verify_locations(ca)
    if cert is not None:
        c.load_cert_chain(cert, key)
    return c


def dial(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def dial_tls(port, *what):
    return context(*what).wrap_socket(dial(port))


def ends(sock):
    """Does the other side end it?"""
    try:
        while sock.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return True


def works(port, token):
    with dial_tls(port) as s:
        s.sendall(hello(token))
        assert answer(s)[0] == 0


def plaintext(port, token):
    for text in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", hello(token), b"\0" * 4096, bytes(range(256)) * 64, b"\x16\x03\x01\xff\xff" + b"x" * 100000):
        with dial(port) as s:
            try:
                s.sendall(text)
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert ends(s)
    works(port, token)


def first_flight():
    """A ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = context().wrap_bio(incoming, outgoing)
    try:
        o.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def truncated(port, token):
    whole = first_flight()
    for length in list(range(1, len(whole), 37)) + [len(whole) - 1, len(whole)]:
        with dial(port) as s:
            s.sendall(whole[:length])
    for at in range(0, len(whole), 23):  # a bit is another one
        with dial(port) as s:
            try:
                s.sendall(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
                s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert ends(s)
    works(port, token)


def old_tls(port, token):
    for highest in (ssl.TLSVersion.TLSv1_2,):
        try:
            context(highest=highest).wrap_socket(dial(port))
        except ssl.SSLError as e:
            assert "PROTOCOL_VERSION" in str(e).upper(), e
        else:
            raise AssertionError(f"{highest} was spoken")
    works(port, token)


def hellos(port, token):
    """What is no hello is refused, before much memory is taken for it."""
    refused = {
        "of a version before": hello(token, 0, 0),
        "of a version after": hello(token, 2, 9),
        "with another magic": frame(0, b"CSGEDSRX" + struct.pack("<HH", 1, 1)),
        "that is cut": frame(0, b"CSGEDSRP\1"),
        "with a cut token": frame(0, b"CSGEDSRP" + struct.pack("<HHH", 1, 1, 100) + b"cst"),
        "with a long token": hello("x" * 500),
        "with a token with a NUL": hello("cst_\0x"),
        "that is a request": frame(1),
        "that is long": frame(0, b"CSGEDSRP" + struct.pack("<HH", 1, 1) + b"x" * 5000),
        "with data": frame(0, b"CSGEDSRP" + struct.pack("<HH", 1, 1), b"x"),
        "with an empty token": hello(""),
        "with a wrong token": hello("cst_" + "A" * 43),
        "with no token": hello(),
    }
    for what, text in refused.items():
        with dial_tls(port) as s:
            s.sendall(text)
            code, said, _ = answer(s)
            assert code != 0, what
            print(f"{what}: {code} {said}")
            assert ends(s), what
    with dial_tls(port) as s:  # requests before a hello
        s.sendall(frame(1) + hello(token))
        assert answer(s)[0] != 0
    works(port, token)


def slow(port, token):
    """Handshakes that never end hold nobody up, and are over in time."""
    whole = first_flight()
    many = [dial(port) for _ in range(100)]
    begin = time.monotonic()
    at = 0
    while time.monotonic() - begin < 25 and many:
        for s in list(many):
            try:
                s.send(whole[at % len(whole):at % len(whole) + 1] if at < len(whole) - 1 else b"")
            except OSError:
                many.remove(s)
                s.close()
                continue
            if select.select([s], [], [], 0)[0]:
                many.remove(s)
                s.close()
        at += 1
        if at % 4 == 1:
            started = time.monotonic()
            works(port, token)
            assert time.monotonic() - started < 5
        select.select([], [], [], 0.25)
    assert not many, f"{len(many)} stand still"
    assert time.monotonic() - begin > 5  # it had to wait
    with dial_tls(port) as s:  # TLS, then silence
        assert ends(s)
    works(port, token)


def flood(port, token, second, third):
    """Strangers push each other out, not those who were let in; these have a limit of their own, and each of them one."""
    known = dial_tls(port)
    known.sendall(hello(token))
    assert answer(known)[0] == 0
    strangers = [dial(port) for _ in range(400)]
    works(port, token)
    for s in strangers:
        s.close()
    many = []

    def take(token, count, why):
        refused = 0
        for _ in range(count):
            s = dial_tls(port)
            s.sendall(hello(token))
            code, said, _ = answer(s)
            if code != 0:
                refused += 1
                assert why in said, said
                assert ends(s)
            many.append(s)
        return refused

    refused = take(token, 140, "this token has 128 connections already")
    assert 12 <= refused <= 14, refused
    works(port, second)  # others get in
    refused = take(second, 140, "connections")
    assert 12 <= refused <= 14, refused
    assert take(third, 10, "as many connections as it can have") >= 8
    known.sendall(frame(1, number=2))
    assert answer(known)[0] == 0
    for s in many:
        s.close()
    known.close()
    end = time.monotonic() + 60
    while True:
        try:
            return works(port, token)
        except AssertionError:  # some are not noticed yet
            assert time.monotonic() < end
            select.select([], [], [], 0.05)


def descriptors(port, token):
    """What comes with descriptors is refused, whatever is asked for."""
    with dial_tls(port) as s:
        s.sendall(hello(token))
        assert answer(s)[0] == 0
        for kind, args in ((96, b""), (97, struct.pack("<II", 1, 0)), (23, struct.pack("<II", 1, 0))):
            s.sendall(frame(kind, args, room=4096))
            code, said, _ = answer(s)
            assert code != 0 and "same machine" in said, (kind, code, said)
        s.sendall(frame(63) + frame(95, b"x") + frame(2000))  # no such operations
        for _ in range(3):
            assert answer(s)[0] != 0
        s.sendall(frame(1))
        assert answer(s)[0] == 0


def s_client_has_no_ticket(port, token):
    with dial_tls(port) as s:
        s.sendall(hello(token))
        assert answer(s)[0] == 0
        assert s.session is None or not s.session.has_ticket
        assert not s.session_reused and s.version() == "TLSv1.3"


def held(port, token):
    """A connection that stands while others come and certificates change: a line on standard input, a request."""
    with dial_tls(port) as s:
        s.sendall(hello(token))
        assert answer(s)[0] == 0
        print("ready", flush=True)
        for _ in sys.stdin:
            s.sendall(frame(1))
            print(*answer(s)[:2], flush=True)


def plain(port, token):
    """Without TLS, on this machine: a token is needed as well."""
    with dial(port) as s:
        s.sendall(hello(token))
        assert answer(s)[0] == 0
    with dial(port) as s:
        s.sendall(hello())
        code, said, _ = answer(s)
        assert code == 7 and "wants a token" in said, (code, said)
        assert ends(s)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
