"""Requests that no client library would send, with signatures made from the specification of Signature Version 4."""

import datetime
import hashlib
import hmac
import http.client
import socket
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "~")


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Raw:
    def __init__(self, host, access, secret):
        self.host, self.access, self.secret = host, access, secret

    def _key(self, day):
        key = mac(("AWS4" + self.secret).encode(), day)
        for part in ("us-east-1", "s3", "aws4_request"):
            key = mac(key, part)
        return key

    def sign(self, method, path, query, headers, payload, now):
        """headers: lower case; all are signed. The signature, its key, scope and time."""
        time = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{time[:8]}/us-east-1/s3/aws4_request"
        names = ";".join(sorted(headers))
        canonical = "\n".join([
            method, quote(path, "/"), "&".join(sorted(f"{quote(k)}={quote(v)}" for k, v in query)),
            "".join(f"{k}:{' '.join(headers[k].split())}\n" for k in sorted(headers)), names, payload])
        text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = self._key(time[:8])
        return mac(key, text).hex(), key, scope, time, names

    def sign_text(self, text, time):
        """The signature of a form's policy."""
        return mac(self._key(time[:8]), text).hex()

    def send(self, method, path, query=(), headers=None, body=b"", payload=None, now=None, change=None,
             unsigned_headers=None, chunks=None, hang_up=False):
        """One request; (status, headers, body). chunks(signature, key, scope, time): makes the body."""
        now = now or datetime.datetime.now(datetime.timezone.utc)
        if payload is None:
            payload = hashlib.sha256(body).hexdigest()
        headers = {k.lower(): v for k, v in (headers or {}).items()}
        headers |= {"host": self.host, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"), "x-amz-content-sha256": payload}
        signature, key, scope, time, names = self.sign(method, path, query, headers, payload, now)
        if chunks:
            body = chunks(signature, key, scope, time)
        if change:
            signature = change(signature)
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={names}, "
                                    f"Signature={signature}")
        target = quote(path, "/") + ("?" + "&".join(f"{quote(k)}={quote(v)}" for k, v in query) if query else "")
        return self.plain(method, target, headers | (unsigned_headers or {}), body, hang_up)

    def plain(self, method, target, headers, body=b"", hang_up=False):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if "content-length" not in headers and "transfer-encoding" not in headers and (body or method == "PUT"):
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body or None)
            if hang_up:
                connection.sock.shutdown(socket.SHUT_WR)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def signed_chunks(pieces, trailers=(), spoil=None):
    """The body of STREAMING-AWS4-HMAC-SHA256-PAYLOAD and ...-TRAILER. spoil: number of the chunk to damage."""
    def make(signature, key, scope, time):
        out, previous = b"", signature
        for i, piece in enumerate([*pieces, b""]):
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", time, scope, previous, EMPTY,
                              hashlib.sha256(piece).hexdigest()])
            previous = mac(key, text).hex()
            if i == spoil:
                piece = piece[:-1] + b"!"
            out += f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece
            if piece or not trailers:
                out += b"\r\n"
        if trailers:
            lines = "".join(f"{k}:{v}\n" for k, v in trailers)
            text = "\n".join(["AWS4-HMAC-SHA256-TRAILER", time, scope, previous,
                              hashlib.sha256(lines.encode()).hexdigest()])
            out += lines.replace("\n", "\r\n").encode()
            out += f"x-amz-trailer-signature:{mac(key, text).hex()}\r\n\r\n".encode()
        return out
    return make


def plain_chunks(pieces, trailers):
    out = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n"
    return out + "".join(f"{k}:{v}\r\n" for k, v in trailers).encode() + b"\r\n"
