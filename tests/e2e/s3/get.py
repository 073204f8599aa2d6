"""GET an object with nothing but Python's own library: get.py HOST:PORT BUCKET/KEY FILE prints the status; the keys are
in the environment."""
import datetime
import hashlib
import hmac
import http.client
import os
import sys

host, path, name = sys.argv[1], "/" + sys.argv[2], sys.argv[3]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
scope = now[:8] + "/us-east-1/s3/aws4_request"
headers = {"host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": now}
signed = ";".join(sorted(headers))
canonical = "\n".join(["GET", path, ""] + [f"{k}:{headers[k]}" for k in sorted(headers)] + ["", signed, "UNSIGNED-PAYLOAD"])
text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
                            f"SignedHeaders={signed}, Signature={hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}")
connection = http.client.HTTPConnection(host, timeout=60)
connection.request("GET", path, headers=headers)
answer = connection.getresponse()
with open(name, "wb") as f:
    f.write(answer.read())
print(answer.status)
