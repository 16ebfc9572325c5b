#!/usr/bin/env python3
"""A second reader of doc/VAULT-FORMAT.md, written from that page alone.

    integ_vault.py verify VAULT...        everything that can be checked without keys
    integ_vault.py places VAULT           one byte of every kind: CLASS FILE OFFSET OBJECT
    integ_vault.py random VAULT N SEED    N random bytes of all files: CLASS FILE OFFSET
    integ_vault.py journal VAULT          the records: SEQUENCE KIND HASH-OF-BODY
    integ_vault.py flip FILE OFFSET MASK  change a byte
"""
import hashlib
import os
import random
import struct
import sys

_TABLE = []
for _i in range(256):
    _c = _i
    for _ in range(8):
        _c = _c >> 1 ^ (0x82F63B78 if _c & 1 else 0)
    _TABLE.append(_c)


def crc32c(*parts):
    c = 0xFFFFFFFF
    t = _TABLE
    for p in parts:
        for b in p:
            c = t[(c ^ b) & 0xFF] ^ c >> 8
    return c ^ 0xFFFFFFFF


ZERO4 = bytes(4)
SLOW = 262144       # the table is in Python: larger objects by a sample


class Bad(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Bad(what)


def round8(n):
    return n + 7 & ~7


class Obj:
    """The 72 bytes of header and the edges of an object on the wire."""

    def __init__(self, data, at):
        (self.version, self.type, self.alg, self.idepoch, self.height,
         self.nedges, self.epoch, self.id, self.salt, self.body,
         self.crc) = struct.unpack_from(">BBBBHH8s32s16sII", data, at)
        need(self.nedges <= 4096 and self.body <= (4 << 20) + 4096, "limits")
        self.at = at
        self.len = 72 + 32 * self.nedges + self.body + 16
        need(at + self.len <= len(data), "an object beyond the end")
        e = data[at + 72:at + 72 + 32 * self.nedges]
        self.edges = [e[i:i + 32] for i in range(0, len(e), 32)]
        self.node = self.type >= 0x80

    def signed(self, data):
        return (data[self.at:self.at + 72 + 32 * self.nedges] +
                data[self.at + self.len - 16:self.at + self.len])

    def whole(self, data):
        return crc32c(data[self.at:self.at + 68], ZERO4,
                      data[self.at + 72:self.at + self.len]) == self.crc


class Rec:
    def __init__(self, data, at, tag):
        t, self.len, self.crc, self.writer, self.flags, self.run, self.received = \
            struct.unpack_from(">IIIHHII", data, at)
        need(t == tag, "record at %d: tag" % at)
        self.at = at
        self.content = at + 24
        self.end = at + 24 + round8(self.len)
        need(self.end <= len(data), "record at %d: beyond the end" % at)
        covered = {0: 72, 1: self.len, 2: 0}[self.flags]
        need(crc32c(data[at:at + 8], ZERO4, data[at + 12:at + 24],
                    data[self.content:self.content + covered]) == self.crc,
             "record at %d: crc" % at)
        need(not any(data[self.content + self.len:self.end]),
             "record at %d: padding" % at)
        self.obj = Obj(data, self.content) if self.flags == 0 else None
        need(self.obj is None or self.obj.len == self.len,
             "record at %d: two lengths" % at)


class Pack:
    def __init__(self, path, vault):
        self.path = path
        d = self.data = open(path, "rb").read()
        magic, version, kind, _, self.tag, self.number, vid = \
            struct.unpack_from(">8sHBBIQ16s", d, 0)
        self.kind = chr(kind)
        need(magic == b"SGPACK1\n" and version == 1 and path.endswith("." + self.kind), "pack head")
        need(crc32c(d[:60]) == struct.unpack_from(">I", d, 60)[0], "pack header: crc")
        need(vid == vault.id and self.tag != 0x5347464F, "pack header: vault, tag")
        rel = "%03X/%04X" % (self.number >> 16, self.number & 0xFFFF)
        need(path.lower().endswith((rel + "." + self.kind).lower()), "name of pack %d" % self.number)
        self.recs = []
        self.footer = None
        end = len(d)
        if d[-8:] == b"SGPKEND\n":
            self.footer, self.entries, self.tlv, crc, sha, tcrc = struct.unpack_from(">QIII32sI", d, end - 64)
            need(crc32c(d[end - 64:end - 12]) == tcrc, "trailer: crc")
            end = self.footer
        at = 64
        while at < end:
            self.recs.append(Rec(d, at, self.tag))
            at = self.recs[-1].end
        need(at == end, "records end beside the footer")
        if self.footer is not None:
            self.check_footer(crc, sha)

    def check_footer(self, crc, sha):
        d, f = self.data, self.footer
        foot = d[f:len(d) - 64]
        need(foot[:8] == b"SGFOOT1\n" and crc32c(foot) == crc, "footer: crc")
        recs = [r for r in self.recs if r.flags != 2]
        need(len(recs) == self.entries, "footer: entries")
        at = f + 8
        for r in recs:
            i, t, fl, h, off, ln, c = struct.unpack_from(">32sBBHIII", d, at)
            o = r.obj
            want = ((o.id, o.type, h if not o.node else o.height, o.crc) if o
                    else (bytes(32), t, h, r.crc))
            need((i, t, h, c) == want and fl == 0 and off * 8 == r.at, "footer: entry")
            need(ln == r.len, "footer: length")
            at += 48
        need(at + self.tlv == len(d) - 64, "footer: size")
        s = hashlib.sha256()
        for r in recs:
            if r.obj:
                s.update(r.obj.signed(d))
        need(s.digest() == sha, "trailer: SHA-256")


KINDS = {1: "SNAPSHOT", 2: "KEY", 3: "SLOT", 4: "PARAMS", 9: "SEAL",
         11: "DAMAGED", 12: "CLOCK", 13: "WRITER"}


class JRec:
    def __init__(self, data, at, tag):
        (t, self.len, self.crc, self.kind, self.flags, self.seq, self.synced,
         self.prev) = struct.unpack_from(">IIIHHQQ32s", data, at)
        need(t == tag and self.len <= 65536, "journal record at %d: tag, length" % at)
        self.at = at
        self.end = at + 64 + round8(self.len)
        need(self.end <= len(data), "journal record beyond the end")
        self.body = data[at + 64:at + 64 + self.len]
        need(crc32c(data[at:at + 8], ZERO4, data[at + 12:at + 64], self.body) == self.crc,
             "journal record at %d: crc" % at)
        need(not any(data[at + 64 + self.len:self.end]), "journal padding")
        self.hash = hashlib.sha256(data[at:at + 64] + self.body).digest()
        self.raw = data[at:at + 64] + self.body


class Journal:
    def __init__(self, path, vault):
        self.path = path
        d = self.data = open(path, "rb").read()
        magic, version, _, self.tag, self.number, vid = struct.unpack_from(">8sHHIQ16s", d, 0)
        need(magic == b"SGJRNL1\n" and version == 1 and vid == vault.id, "journal head")
        need(crc32c(d[:60]) == struct.unpack_from(">I", d, 60)[0], "journal header: crc")
        need(int(os.path.basename(path), 16) == self.number, "name of the segment")
        self.recs = []
        at = 64
        # room is reserved ahead: what follows the last record is zeros
        while at + 64 <= len(d) and any(d[at:at + 64]):
            self.recs.append(JRec(d, at, self.tag))
            at = self.recs[-1].end
        need(not any(d[at:]), "bytes behind the last journal record")


class Snapshot:
    def __init__(self, rec):
        b = rec.body
        self.run, = struct.unpack_from(">I", b, 0)
        self.synced = struct.unpack_from(">QQQQ", b, 4)
        server = b[36:36 + 162]
        n, = struct.unpack_from(">I", b, 198)
        c = b[202:]
        need(len(c) == n and c[:8] == b"SGSNP1\n\0", "client part")
        self.id = hashlib.sha256(c).digest()
        (self.wall, self.clock, self.vseq, self.jseq, self.lock, self.bytes,
         self.objects, self.new, self.writer) = struct.unpack_from(">qQQQQQQQH", server, 0)
        self.prev = server[66:98]
        self.server = server
        at = 12 + 48
        at += 2 + struct.unpack_from(">H", c, at)[0]
        self.cseq, = struct.unpack_from(">Q", c, at)
        at += 8 + 32 + 32
        ne = c[at]
        need(1 <= ne <= 4, "edge count")
        self.edges = [c[at + 1 + 32 * i:at + 33 + 32 * i] for i in range(ne)]
        at += 1 + 32 * ne + 24
        at += 4 + struct.unpack_from(">I", c, at)[0] + 64
        need(at == n, "client part: length")


class Vault:
    def __init__(self, path, packs=True):
        self.path = path
        self.ident("vault")
        self.ident("vault.2")
        need(open(path + "/vault", "rb").read() == open(path + "/vault.2", "rb").read(), "vault and vault.2 differ")
        need(os.path.basename(os.path.realpath(path)) == self.id.hex(), "name of the directory")
        self.segments = [Journal(os.path.join(path, "journal", f), self)
                         for f in sorted(os.listdir(path + "/journal"))]
        self.chain()
        self.packs = []
        for d, _, files in os.walk(path + "/packs"):
            self.packs += [Pack(os.path.join(d, f), self) for f in files] if packs else []
        self.packs.sort(key=lambda p: p.number)
        if packs:
            self.graph()

    def ident(self, name):
        d = open(os.path.join(self.path, name), "rb").read()
        need(len(d) == 512 and d[:8] == b"SGVAULT\n", name)
        version, _, self.compat, self.ro, self.incompat = struct.unpack_from(">H6sQQQ", d, 8)
        need(version == 1 and crc32c(d[:508]) == struct.unpack_from(">I", d, 508)[0], name + ": crc")
        need(not any(d[258:508]) and not any(d[10:16]), name + ": zeros")
        self.id, self.instance, self.client = d[40:56], d[56:72], d[72:88]
        self.name = d[120:250].rstrip(b"\0").decode()

    def chain(self):
        prev = bytes(32)
        self.journal = self.segments[-1].recs
        for i, r in enumerate(self.journal):
            need(i == 0 or r.prev == prev, "journal chain at %d" % r.at)
            prev = r.hash
            need(r.flags & 1 or i == 0 or r.seq > self.journal[i - 1].seq, "journal sequence")
            need(r.synced <= r.at, "synced beyond itself")
        if len(self.segments) == 1:
            need(self.journal[0].prev == bytes(32), "the first of all")
        self.snaps = [Snapshot(r) for r in self.journal if r.kind == 1]
        prev = bytes(32)
        for i, s in enumerate(self.snaps):
            need(s.prev == prev and s.vseq == i + 1, "chain of receipts")
            prev = hashlib.sha256(s.server).digest()

    def graph(self):
        self.newest = {}
        for p in self.packs:
            for r in p.recs:
                if r.obj:
                    self.newest[r.obj.id] = (p, r)
        self.needed = {}
        for s in self.snaps:
            todo = list(s.edges)
            while todo:
                i = todo.pop()
                if i in self.needed:
                    continue
                need(i in self.newest, "an object is missing: " + i.hex())
                p, r = self.needed[i] = self.newest[i]
                for e in r.obj.edges:
                    need(self.newest[e][1].obj.height < r.obj.height, "heights")
                need(len(set(r.obj.edges)) == r.obj.nedges, "an edge twice")
                todo += r.obj.edges

    def seconds(self):
        return [(p, r) for p in self.packs for r in p.recs if r.flags == 1]


def verify(path):
    v = Vault(path)
    n = big = 0
    for p in v.packs:
        for r in p.recs:
            if r.obj and (r.len <= 16384 or (r.len <= SLOW and n % 8 == 0) or big < 2):
                big += r.len > SLOW
                need(r.obj.whole(p.data), "object crc")
            n += 1
    raw = {r.raw for s in v.segments for r in s.recs}
    for p, r in v.seconds():
        need(p.kind == "n" and p.data[r.content:r.content + r.len] in raw, "a second copy differs")
    kinds = [r.kind for r in v.journal if r.kind in (1, 2, 3, 4) and not r.flags & 1]
    need(len(kinds) <= len(v.seconds()), "a record without its second copy")
    for r in v.journal:
        if r.kind == 9:
            kind, _, count, number, size, sha = struct.unpack(">B3sIQQ32s", r.body)
            p = [p for p in v.packs if p.number == number]
            need(len(p) == 1 and p[0].footer is not None and len(p[0].data) == size and
                 len([x for x in p[0].recs if x.flags != 2]) == count and
                 p[0].data[-64:][20:52] == sha, "SEAL of pack %d" % number)
    print("%s: %d snapshots, %d packs (%d sealed), %d records, %d objects needed, %d second copies" %
          (v.name, len(v.snaps), len(v.packs), sum(p.footer is not None for p in v.packs),
           n, len(v.needed), len(v.seconds())))


# Bytes of a record, by name: from where the record or its content begins.
PREFIX = {"tag": 1, "length": 6, "crc": 9, "writer": 13, "flags": 15, "run": 18, "received": 21}
HEADER = {"version": 0, "type": 1, "algorithm": 2, "id-epoch": 3, "height": 5, "edges": 7,
          "epoch": 11, "id": 30, "salt": 50, "body-length": 66, "crc": 69}


def places(path):
    """CLASS FILE OFFSET ID. Classes data, node, root, prefix: of objects that a snapshot
    needs, no two in one object; their id."""
    v = Vault(path)
    rnd = random.Random(1)
    newest = v.snaps[-1]
    have = list(v.needed.values())
    rnd.shuffle(have)
    root = v.needed.pop(newest.edges[0])
    last = set(reach(v, newest.edges[0]))
    have = [x for x in have if x[1].obj.id in last and x is not root]
    out = []

    def take(kind):
        # not one that others hang from: they would hide behind it
        x = next((x for x in have if x[1].obj.type == kind and
                  not any(v.newest[e][1].obj.node for e in x[1].obj.edges)), None)
        need(x is not None, "too few objects of type %x for this test" % kind)
        have.remove(x)
        return x

    def obj(cls, x, where):
        p, r = x
        out.append((cls, p.path, r.at + where, r.obj.id.hex()))

    for kind, name in ((2, "bundle"), (0x81, "leaf"), (0x83, "map"), (1, "chunk")):
        for part in ("body", "tag") if kind != 0x83 else ("body",):
            x = take(kind)
            o = x[1].obj
            cls = "node" if o.node else "data"
            obj("%s.%s.%s" % (cls, part, name), x, 24 + o.len - 3 if part == "tag" else
                24 + 72 + 32 * o.nedges + o.body // 2)
    x = take(0x81)
    obj("node.edges", x, 24 + 72 + 17)
    for n, o in PREFIX.items():
        obj("prefix." + n, take(1 if n in ("tag", "length", "run") else 0x81), o)
    for n, o in HEADER.items():
        obj("data.header." + n, take(1), 24 + o)
    for n in ("type", "height", "edges", "id", "body-length"):
        obj("node.header." + n, take(0x81), 24 + HEADER[n])
    obj("root.body", root, 24 + root[1].len - 20)

    def other(cls, path, at):
        out.append(("other." + cls, path, at, "-"))

    for cls, nodes in (("data", False), ("node", True)):
        x = next(x for x in v.newest.values() if x[1].obj.node == nodes and x[1].len % 8)
        other("padding." + cls, x[0].path, x[1].end - 1)
    sealed = [p for p in v.packs if p.footer is not None]
    need(sealed, "a sealed pack is needed for this test")
    for p in sealed[:1]:
        end = len(p.data)
        other("footer", p.path, p.footer + 60)
        other("footer-magic", p.path, p.footer + 2)
        other("trailer", p.path, end - 40)
        other("trailer-magic", p.path, end - 4)
        other("pack-header", p.path, 30)
    other("pack-header.nodes", next(p for p in v.packs if p.kind == "n").path, 18)
    seconds = {}
    for p, r in v.seconds():
        kind, = struct.unpack_from(">H", p.data, r.content + 12)
        seconds.setdefault("snapshot" if kind == 1 else "key", (p, r))
    for cls, (p, r) in seconds.items():
        other("second-copy." + cls, p.path, r.content + r.len // 2)
    other("vault.name", path + "/vault", 130)
    other("vault.key", path + "/vault", 90)
    other("vault.2", path + "/vault.2", 60)
    j = v.segments[-1]
    first = next(r for r in j.recs if r.kind == 1)
    out.append(("journal.snapshot", j.path, first.at + 300, "-"))
    out.append(("journal.header", j.path, 20, "-"))
    for line in out:
        print(*line)


def reach(v, i):
    todo = [i]
    seen = set()
    while todo:
        i = todo.pop()
        if i not in seen:
            seen.add(i)
            todo += v.newest[i][1].obj.edges
    return seen


def classify(v, path, at):
    for p in v.packs:
        if p.path != path:
            continue
        for r in p.recs:
            if r.at <= at < r.end:
                what = ("gap" if r.flags == 2 else "second-copy" if r.flags == 1 else
                        "needed" if v.newest[r.obj.id][1] is r and r.obj.id in v.needed else "unneeded")
                part = "prefix" if at < r.content else "padding" if at >= r.content + r.len else "content"
                return "pack.%s.%s" % (what, part)
        return "pack.frame"
    rel = os.path.relpath(path, v.path)
    if rel.startswith("journal/"):
        recs = next(s for s in v.segments if s.path == path).recs
        return "journal.last" if at >= recs[-1].at else "journal"
    return "derived" if rel.startswith(("index/", "runs/", "LOCK")) else rel


def sample(path, n, seed):
    """Half over bytes, half over files: small files would else never be met."""
    v = Vault(path)
    rnd = random.Random(seed)
    files = []
    for d, _, names in os.walk(path):
        files += [os.path.join(d, f) for f in names if os.path.getsize(os.path.join(d, f))]
    files.sort()
    used = {s.path: s.recs[-1].end for s in v.segments}     # behind it: reserved room
    size = {f: used.get(f, os.path.getsize(f)) for f in files}
    for i in range(n):
        f = rnd.choice(files) if i % 2 else rnd.choices(files, [size[x] for x in files])[0]
        at = rnd.randrange(size[f])
        print(classify(v, f, at), f, at)


def journal(path):
    for r in Vault(path, packs=False).journal:
        print(r.seq, KINDS.get(r.kind, r.kind), hashlib.sha256(r.body).hexdigest())


def flip(path, at, mask):
    with open(path, "r+b") as f:
        f.seek(at)
        b = f.read(1)
        f.seek(at)
        f.write(bytes([b[0] ^ mask]))


def main(a):
    try:
        if a[0] == "verify":
            for p in a[1:]:
                verify(p)
        elif a[0] == "places":
            places(a[1])
        elif a[0] == "random":
            sample(a[1], int(a[2]), int(a[3]))
        elif a[0] == "journal":
            journal(a[1])
        elif a[0] == "flip":
            flip(a[1], int(a[2]), int(a[3], 0))
        else:
            sys.exit(__doc__)
    except Bad as e:
        sys.exit("not as VAULT-FORMAT.md says: %s" % e)


main(sys.argv[1:])
