#!/usr/bin/python3
"""Both ends of a pairing, for 63-pairing.sh: a client that does by hand what
doc/PROTOCOL.md says, a man in the middle with a TLS key of his own, and an older
server.  Nothing of StoreGrid's code is used here.

pairing.py client PORT              reads commands from standard input
pairing.py mitm PORT SERVERPORT CERT MODE
pairing.py old PORT CERT
"""
import hashlib
import os
import socket
import ssl
import struct
import sys
import threading

HELLO, HELLO_OK, PAIR, PAIR_OK, PAIR_OPEN, PAIR_POLL, PAIR_STATE = 1, 2, 7, 8, 9, 10, 11
AUTH, ERROR, BYE = 3, 0x42, 0x43
STATES = {1: "waiting", 2: "accepted", 3: "refused", 4: "gone"}


def text(b):
    return struct.pack(">H", len(b)) + b


def commit_to(nonce, key):
    return hashlib.sha256(b"sg1 pair commit" + nonce + key).digest()


def code_of(key, identity, pin, nonce, server_nonce):
    h = hashlib.sha256(b"sg1 pair code" + key + identity + pin + nonce + server_nonce).digest()
    v = int.from_bytes(h[:8], "big") % 100000000
    return "%04d-%04d" % (v // 10000, v % 10000)


def spki_sha256(der):
    """SHA-256 of the SubjectPublicKeyInfo: the seventh element of TBSCertificate."""
    def element(b, at):
        n, head = b[at + 1], 2
        if n & 0x80:
            k = n & 0x7F
            n, head = int.from_bytes(b[at + 2:at + 2 + k], "big"), 2 + k
        return at + head, at + head + n

    inner, _ = element(der, 0)
    at, _ = element(der, inner)
    skip = 6 if der[at] == 0xA0 else 5
    for _ in range(skip):
        _, at = element(der, at)
    return hashlib.sha256(der[at:element(der, at)[1]]).digest()


class Frames:
    def __init__(self, sock):
        self.sock = sock

    def read(self, n):
        out = b""
        while len(out) < n:
            got = self.sock.recv(n - len(out))
            if not got:
                raise EOFError
            out += got
        return out

    def get(self):
        n, kind, _, request = struct.unpack(">IHHI", self.read(12))
        return kind, request, self.read(n)

    def put(self, kind, request, payload):
        self.sock.sendall(struct.pack(">IHHI", len(payload), kind, 0, request) + payload)


def connect(port):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", port), 10)
    return Frames(ctx.wrap_socket(raw))


def hello(f, features=3):
    f.put(HELLO, 1, struct.pack(">IHHQ", 0x53473101, 1, 1, features) + os.urandom(32))
    kind, _, p = f.get()
    assert kind == HELLO_OK, kind
    n = struct.unpack(">H", p[48:50])[0]
    return p[50 + n:82 + n]


def told(kind, p):
    if kind == ERROR:
        return "error %d" % struct.unpack(">H", p[:2])
    if kind == PAIR_STATE:
        token = p[3:].decode()
        return STATES[p[0]] + (" " + token if token else "")
    return "frame %d" % kind


def client(port):
    """start | start-other-nonce | start-clear-feature | open | poll | poll-other, one
    a line; each prints one line."""
    key, nonce, pairing, f = os.urandom(32), os.urandom(32), b"", None
    for line in sys.stdin:
        what = line.strip()
        try:
            if what.startswith("start"):
                f = connect(port)
                identity = hello(f, 2 if what == "start-clear-feature" else 3)
                pin = spki_sha256(f.sock.getpeercert(True))
                f.put(PAIR, 2, commit_to(nonce, key) + key + text(b"by hand"))
                kind, _, p = f.get()
                if kind != PAIR_OK:
                    print(told(kind, p), flush=True)
                    continue
                pairing, server_nonce = p[:16], p[16:48]
                sent = os.urandom(32) if what == "start-other-nonce" else nonce
                f.put(PAIR_OPEN, 3, pairing + sent)
                kind, _, p = f.get()
                print(told(kind, p), code_of(key, identity, pin, nonce, server_nonce), flush=True)
            else:
                f = connect(port)
                hello(f)
                sent = os.urandom(32) if what == "poll-other" else nonce
                f.put(PAIR_OPEN if what == "open" else PAIR_POLL, 2, pairing + sent)
                kind, _, p = f.get()
                print(told(kind, p), flush=True)
        except EOFError:
            print("closed", flush=True)


class Middle:
    """What he changes: "relay" nothing, "both" all that is the client's towards the
    server and all that is the server's towards the client, "nonce" the nonces
    alone, "identity" the server's identity key, "later" nothing at first: he
    takes part from the second connection on."""

    def __init__(self, port, server, cert, mode):
        self.server, self.mode, self.n = server, mode, 0
        self.key, self.nonce = os.urandom(32), os.urandom(32)
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(cert)
        self.listen = socket.create_server(("127.0.0.1", port))

    def run(self):
        print("ready", flush=True)
        while True:
            sock, _ = self.listen.accept()
            self.n += 1
            threading.Thread(target=self.one, args=(sock, self.n), daemon=True).start()

    def one(self, sock, n):
        try:
            if self.mode == "later" and n == 1:
                self.pass_bytes(sock)
            else:
                self.between(Frames(self.ctx.wrap_socket(sock, server_side=True)))
        except (EOFError, OSError):
            pass
        finally:
            sock.close()

    def pass_bytes(self, sock):
        up = socket.create_connection(("127.0.0.1", self.server))

        def copy(a, b):
            try:
                while True:
                    got = a.recv(65536)
                    if not got:
                        break
                    b.sendall(got)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        t = threading.Thread(target=copy, args=(up, sock), daemon=True)
        t.start()
        copy(sock, up)
        t.join()

    def between(self, down):
        up = connect(self.server)
        while True:
            kind, request, p = down.get()
            up.put(kind, request, self.upwards(kind, p))
            if kind == BYE:
                return
            kind, request, p = up.get()
            down.put(kind, request, self.downwards(kind, p))

    def upwards(self, kind, p):
        if self.mode not in ("both", "nonce"):
            return p
        if kind == PAIR:
            key = self.key if self.mode == "both" else p[32:64]
            return commit_to(self.nonce, key) + key + p[64:]
        if kind in (PAIR_OPEN, PAIR_POLL):
            return p[:16] + self.nonce
        return p

    def downwards(self, kind, p):
        if kind == HELLO_OK and self.mode in ("both", "identity"):
            n = struct.unpack(">H", p[48:50])[0]
            return p[:50 + n] + self.key + p[82 + n:]
        if kind == PAIR_OK and self.mode in ("both", "nonce"):
            return p[:16] + os.urandom(32)
        return p


def old(port, cert):
    """A server of before: version 1 without features."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(cert)
    listen = socket.create_server(("127.0.0.1", port))
    print("ready", flush=True)
    while True:
        sock, _ = listen.accept()
        try:
            f = Frames(ctx.wrap_socket(sock, server_side=True))
            _, request, _ = f.get()
            f.put(HELLO_OK, request, struct.pack(">HQ", 1, 0) + os.urandom(32) +
                  struct.pack(">IH", 65536, 1024) + text(b"old") + os.urandom(32) +
                  b"\0" * 65)
            print("then", f.get()[0], flush=True)
        except (EOFError, OSError):
            pass
        sock.close()


if __name__ == "__main__":
    if sys.argv[1] == "client":
        client(int(sys.argv[2]))
    elif sys.argv[1] == "mitm":
        Middle(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]).run()
    else:
        old(int(sys.argv[2]), sys.argv[3])
