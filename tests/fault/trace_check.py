#!/usr/bin/env python3
"""Reads a trace of the server's system calls (strace -f -y -xx) and proves the
order that a commit needs: when COMMITTED is sent to a session, all that was
written to packs and journal has been synced, and so has every directory in which
a name was made.  What a killed process left in the page cache counts as not
synced for the process after it.

  trace_check.py TRACE ANSWERS          the trace keeps the order, in that many commits
  trace_check.py TRACE ANSWERS --blind  and would be refused without any one kind of sync
"""
import re
import sys

COMMITTED = 0x001A
SNAPSHOT = 1
HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
# The part of a path that says what it is: the vault's directory and what is below.
VAULT = re.compile(r"/vaults(?:/([0-9a-f]{32})(?:/(.*))?)?$")


def raw(s):
    return bytes.fromhex(s.replace("\\x", ""))


def text(s):
    return HEX.sub(lambda m: raw(m.group(0)).decode("latin-1"), s)


def kind_of(path):
    """What a sync of this path is a sync of, or None if no commit needs it."""
    m = VAULT.search(path)
    if not m:
        return None
    vault, name = m.groups()
    if vault is None:
        return "directory vaults"
    if name is None:
        return "directory of the vault"
    if name in ("packs", "journal"):
        return "directory " + name
    if re.fullmatch(r"packs/[0-9a-f]{3,}", name):
        return "directory packs/XXX"
    m = re.fullmatch(r"packs/[0-9a-f]{3,}/[0-9a-f]{4}\.([dn])(\.tmp)?", name)
    if m:
        what = "data pack" if m.group(1) == "d" else "node pack"
        return "new " + what if m.group(2) else what
    if re.fullmatch(r"journal/[0-9a-f]{4,}", name):
        return "journal"
    if name == "journal/new.tmp":
        return "new journal segment"
    if name in ("vault.tmp", "vault.2.tmp"):
        return "new identity file"
    return None


class Event:
    __slots__ = ("what", "start", "end", "path", "to", "data", "line")

    def __init__(self, what, start, end, path, to=None, data=b"", line=""):
        self.what, self.start, self.end, self.path = what, start, end, path
        self.to, self.data, self.line = to, data, line


FD = r"(?:\d+|AT_FDCWD)<([^>]*)>"
CALLS = {
    "sync": re.compile(r"(fdatasync|fsync)\(" + FD),
    "write": re.compile(r"(pwrite64|write|pwritev|ftruncate)\(" + FD + r'(?:, "([^"]*)")?'),
    "open": re.compile(r"(openat)\(" + FD + r', "([^"]*)", ([A-Z_|0-9]+)'),
    "mkdir": re.compile(r"(mkdirat)\(" + FD + r', "([^"]*)"'),
    "rename": re.compile(r"(renameat2?)\(" + FD + r', "([^"]*)", ' + FD + r', "([^"]*)"'),
    "send": re.compile(r'(sendmsg)\(.*?iov_base="[^"]*".*?iov_base="([^"]*)"'),
}
LINE = re.compile(r"^(\d+) +(?:[\d.]+ +)?(.*)$")
RESUMED = re.compile(r"^<\.\.\. \w+ resumed>")
RESULT = re.compile(r"\) += (-?\d+|\?)")


def calls(lines):
    """(start, end, text of the call, result): end is the line it returned in."""
    under_way = {}
    for n, line in enumerate(lines):
        m = LINE.match(line)
        if not m:
            continue
        pid, rest = m.groups()
        if rest.endswith("<unfinished ...>"):
            under_way[pid] = (n, rest[:-len("<unfinished ...>")])
            continue
        start = n
        m = RESUMED.match(rest)
        if m:
            if pid not in under_way:
                continue
            start, head = under_way.pop(pid)
            rest = head + rest[m.end():]
        m = None
        for m in RESULT.finditer(rest):
            pass
        if m:
            yield start, n, rest[:m.start() + 1], m.group(1)
    for start, head in under_way.values():
        yield start, len(lines), head, "?"


def join(directory, name):
    return name if name.startswith("/") else directory + "/" + name


def events(lines):
    out = []
    for start, end, call, result in calls(lines):
        failed = not result.isdigit()
        for what, pattern in CALLS.items():
            m = pattern.match(call)
            if not m:
                continue
            # A call that a kill cut off may have had its effect, but is no sync.
            if failed and not (result == "?" and what in ("write", "mkdir", "rename")):
                break
            if what == "send":
                data = raw(m.group(2)) if m.group(2) else b""
                if len(data) >= 4 and int.from_bytes(data[:2], "big") == COMMITTED and data[2:4] == b"\0\0":
                    out.append(Event("answer", start, end, "", line=call[:60]))
                break
            path = text(m.group(2))
            if what == "open":
                if "O_CREAT" in m.group(4):
                    out.append(Event("create", start, end, join(path, text(m.group(3)))))
            elif what == "mkdir":
                out.append(Event("name", start, end, join(path, text(m.group(3)))))
            elif what == "rename":
                out.append(Event("rename", start, end, join(path, text(m.group(3))),
                                 to=join(text(m.group(4)), text(m.group(5)))))
            elif what == "write":
                out.append(Event("write", start, end, path, data=raw(m.group(3)) if m.group(3) else b""))
            else:
                out.append(Event("sync", start, end, path))
            break
    # Writes and names count from when they began, syncs and answers as said below.
    out.sort(key=lambda e: e.start)
    return out


FILES = ("data pack", "node pack", "journal")
TEMPORARY = ("new data pack", "new node pack", "new journal segment", "new identity file")


def parent(path):
    return path.rsplit("/", 1)[0]


def short(path):
    m = VAULT.search(path)
    return (m.group(2) or "the vault" if m.group(1) else "vaults") if m else path


class Model:
    def __init__(self, without=None):
        self.without = without
        self.dirty = {}  # file: when its unsynced writes returned
        self.names = {}  # directory: when its unsynced names were made, and which
        self.syncs = []  # under way or done, not applied yet
        self.bad = []
        self.answers = 0
        self.seen = {}

    def apply_syncs(self, now):
        """A sync holds what had returned before it began, once it has returned itself."""
        left = []
        for s in self.syncs:
            if s.end >= now:
                left.append(s)
                continue
            for table in (self.dirty, self.names):
                if s.path in table:
                    table[s.path] = [w for w in table[s.path] if w[0] > s.start]
        self.syncs = left

    def unsynced(self, kinds):
        for path, writes in self.dirty.items():
            if writes and kind_of(path) in kinds:
                yield "%s is not synced" % short(path)

    def unnamed(self, only=None):
        for path, names in self.names.items():
            kind = kind_of(path)
            if names and kind and (only is None or kind in only):
                yield "%s: the name %s is not synced" % (short(path), names[0][1])

    def say(self, e, when, what):
        self.bad.append("line %d, %s: %s" % (e.start + 1, when, what))

    def name_made(self, e, path):
        kind = kind_of(path)
        base = path.rsplit("/", 1)[1]
        if kind in TEMPORARY or (kind is None and base not in ("vault", "vault.2")):
            return
        self.names.setdefault(parent(path), []).append((e.end, base))

    def feed(self, e):
        self.apply_syncs(e.start)
        kind = kind_of(e.path)
        if e.what == "sync":
            if kind:
                self.seen[kind] = self.seen.get(kind, 0) + 1
            if kind != self.without:
                self.syncs.append(e)
        elif e.what == "write":
            if kind == "journal" and len(e.data) >= 14 and int.from_bytes(e.data[12:14], "big") == SNAPSHOT:
                for what in list(self.unsynced(("data pack", "node pack"))) + list(
                        self.unnamed(("directory packs", "directory packs/XXX"))):
                    self.say(e, "SNAPSHOT is written", what)
            if kind:
                self.dirty.setdefault(e.path, []).append((e.end,))
        elif e.what == "create":
            if kind in FILES:
                self.name_made(e, e.path)
            self.dirty.pop(e.path, None)
        elif e.what == "name":
            self.name_made(e, e.path)
        elif e.what == "rename":
            if kind in TEMPORARY and self.dirty.get(e.path):
                self.say(e, "renamed", "%s is not synced" % short(e.path))
            self.dirty[e.to] = self.dirty.pop(e.path, [])
            self.name_made(e, e.to)
        elif e.what == "answer":
            self.answers += 1
            for what in list(self.unsynced(FILES)) + list(self.unnamed()):
                self.say(e, "COMMITTED is sent", what)


def run(evs, without=None):
    m = Model(without)
    for e in evs:
        m.feed(e)
    return m


NEEDED = ("data pack", "node pack", "journal", "new data pack", "new node pack",
          "new journal segment", "new identity file", "directory vaults",
          "directory of the vault", "directory packs", "directory packs/XXX",
          "directory journal")


def main():
    with open(sys.argv[1], encoding="latin-1") as f:
        evs = events(f.read().split("\n"))
    m = run(evs)
    bad = list(m.bad)
    want = int(sys.argv[2])
    if m.answers < want:
        bad.append("the trace has %d answers of a commit, not %d" % (m.answers, want))
    for b in bad[:20]:
        print(b)
    if not bad:
        print("%d answers, syncs: %s" % (m.answers, ", ".join(
            "%s %d" % (k, v) for k, v in sorted(m.seen.items()))))
    if "--blind" in sys.argv[3:]:
        for kind in NEEDED:
            n = m.seen.get(kind, 0)
            without = run(evs, kind)
            if n == 0:
                bad.append(kind)
                print("no sync of a %s was seen" % kind)
            elif len(without.bad) == 0:
                bad.append(kind)
                print("without its %d syncs of a %s nothing is found wrong" % (n, kind))
            else:
                print("without %s: %d violations, the first: %s" % (kind, len(without.bad), without.bad[0]))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
