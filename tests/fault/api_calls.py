#!/usr/bin/env python3
"""Calls of the management API over TLS, for tests/e2e/65-api.sh.

  api_calls.py calls HOST PORT DOCUMENT ADMIN OPERATOR VIEWER
      every operation of the document without a right, with too little, and with
      the right one; the three are bearer tokens
  api_calls.py malformed HOST PORT FILE
      each request of FILE (u32 length, bytes): 400, then the end
  api_calls.py one HOST PORT METHOD PATH [TOKEN [BODY [HEADER...]]]
      prints the status, the headers and the body
"""
import json
import re
import socket
import ssl
import struct
import sys

RIGHTS = {"none": 0, "peer": 1, "viewer": 2, "operator": 3, "admin": 4}


def connect(host, port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE     # the key is pinned, not certified
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    raw = socket.create_connection((host, port), timeout=20)
    return context.wrap_socket(raw)


def read_all(s, stop=None):
    data = b""
    try:
        while stop is None or not stop(data):
            part = s.recv(65536)
            if not part:
                return data, True
            data += part
    except (ssl.SSLEOFError, ConnectionResetError):
        return data, True
    except TimeoutError:
        pass
    return data, False


def call(host, port, method, path, token=None, body=None, headers=()):
    s = connect(host, port)
    text = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    if token:
        text += f"Authorization: Bearer {token}\r\n"
    for h in headers:
        text += h + "\r\n"
    data = b"" if body is None else body.encode()
    if body is not None:
        text += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
    s.sendall((text + "\r\n").encode() + data)
    head_only = (lambda d: b"\r\n\r\n" in d) if path.startswith("/api/v1/events") else None
    answer, _ = read_all(s, head_only)
    s.close()
    if not answer.startswith(b"HTTP/1.1 "):
        raise SystemExit(f"{method} {path}: no answer: {answer[:80]!r}")
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(answer[9:12]), head.decode(), rest


def calls(host, port, document, tokens):
    with open(document) as f:
        paths = json.load(f)["paths"]
    bad = count = 0
    for path, methods in sorted(paths.items()):
        for method, op in sorted(methods.items()):
            need = RIGHTS[op["x-storegrid-right"]]
            # ids that nothing has: a prefix might end the session that asks
            concrete = re.sub(r"\{(session|token|pairing|peer)\}", "0" * 32, path)
            concrete = re.sub(r"\{\w+\}", "0", concrete)
            body = "{}" if "requestBody" in op else None
            for right, token in tokens:
                # what would end what the next calls need is tried by the shell
                if op["operationId"] in ("signout",) and right != "none":
                    continue
                have = RIGHTS[right]
                status, _, _ = call(host, port, method.upper(), concrete, token, body)
                count += 1
                if op["x-storegrid-right"] == "peer":
                    good = status == (401 if have == 0 else 403)
                elif have < need:
                    good = status == (401 if have == 0 else 403)
                elif need == 0:
                    good = status not in (403, 405, 500)
                else:
                    good = status not in (401, 405, 500) and status < 504
                    good = good and (status != 403 or op["operationId"].startswith("me_"))
                    if "requestBody" not in op and "{" not in path:
                        good = good and (status == 200 or op["operationId"].startswith("me_"))
                if not good or str(status) not in op["responses"] and status not in (401, 403):
                    bad += 1
                    print(f"{method} {path} as {right}: {status}")
    print(f"{count} calls, {bad} wrong")
    return bad


def malformed(host, port, name):
    bad = n = 0
    with open(name, "rb") as f:
        data = f.read()
    while data:
        size, = struct.unpack(">I", data[:4])
        request, data = data[4:4 + size], data[4 + size:]
        s = connect(host, port)
        # a whole request behind it must never be answered
        s.sendall(request + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer, ended = read_all(s)
        s.close()
        n += 1
        if not answer.startswith(b"HTTP/1.1 400 ") or not ended or \
                answer.count(b"HTTP/1.1 ") != 1:
            bad += 1
            print(f"{request[:80]!r}: {answer[:60]!r} ended={ended}")
    print(f"{n} requests, {bad} wrong")
    return bad if n >= 200 else 1


def main(argv):
    verb, host, port = argv[1], argv[2], int(argv[3])
    if verb == "calls":
        tokens = [("none", None)] + list(zip(("admin", "operator", "viewer"), argv[5:8]))
        return 1 if calls(host, port, argv[4], tokens) else 0
    if verb == "malformed":
        return 1 if malformed(host, port, argv[4]) else 0
    if verb == "one":
        rest = argv[6:] + [None, None]
        status, head, body = call(host, port, argv[4], argv[5], rest[0] or None,
                                  rest[1] or None, [h for h in rest[2:] if h])
        print(status)
        print(head.partition("\r\n")[2])
        print()
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        return 0
    raise SystemExit(__doc__)


sys.exit(main(sys.argv))
