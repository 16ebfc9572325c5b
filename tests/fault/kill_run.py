#!/usr/bin/env python3
"""SIGKILLs in the middle of backups, aimed; run by tests/e2e/40-kill.sh.

  kill_run.py BUILD CONF SCRATCH CLIENT KILLS [SEED]

Each round changes the tree, starts a backup, kills one process in one phase of it,
and runs the backup again.  The phase is not what was aimed at but what was measured:
pack files that had grown, and COMMIT and COMMITTED seen in the store's own calls.
Prints "ok - ..." and "not ok - ..." lines, which the script numbers.
"""
import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

BUILD, CONF, SCRATCH, CLIENT, KILLS = sys.argv[1:6]
KILLS = int(KILLS)
SEED = int(sys.argv[6]) if len(sys.argv) > 6 else random.randrange(1 << 31)
RNG = random.Random(SEED)
HOME = os.path.join(SCRATCH, CLIENT)
SRC = os.path.join(SCRATCH, "src")
CREDIT = 32 << 20
ROLES = ("engine", "net", "command", "session", "store", "master")
PHASES = ("before the first pack write", "after the first pack write",
          "between COMMIT and its answer", "after the answer")
BEFORE, WRITING, COMMITTING, AFTER = range(4)
BIG = 4  # aimed at: a run larger than the credit window, killed late in WRITING
SYNC_DELAY_MS = 120  # makes the two syncs of a commit long enough to aim at

bad = []


def fail(text):
    bad.append(text)
    print("# WRONG: " + text, flush=True)


def note(text):
    print("# " + text, flush=True)


# --- processes ---

def stat_of(pid):
    """(state, parent, session) or None"""
    try:
        with open("/proc/%d/stat" % pid) as f:
            s = f.read().rsplit(")", 1)[1].split()
        return s[0], int(s[1]), int(s[3])
    except (OSError, IndexError):
        return None


def alive(pid):
    s = stat_of(pid)
    return s is not None and s[0] not in "ZX"


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def program(pid):
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def wait_for(what, seconds, step=0.002):
    until = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() >= until:
            return got
        time.sleep(step)


class Server:
    def __init__(self):
        self.log = open(os.path.join(SCRATCH, "server.log"), "ab")
        self.p = None

    def ctl(self, *args):
        return subprocess.run([BUILD + "/storegridctl", "-f", CONF, *args],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def start(self):
        """One whose old store is just ending may find the lock taken: it is asked again."""
        for _ in range(20):
            self.p = subprocess.Popen([BUILD + "/storegridd", "-f", CONF], stdin=subprocess.DEVNULL,
                                      stdout=self.log, stderr=self.log, start_new_session=True)
            if wait_for(lambda: self.p.poll() is not None or self.ctl("status").returncode == 0, 10, 0.05) \
                    and self.p.poll() is None:
                return True
            if self.p.poll() is None:
                break
            time.sleep(0.2)
        fail("the server did not start")
        return False

    def processes(self):
        return [p for p in pids() if (stat_of(p) or " 00")[2] == self.p.pid and alive(p)]

    def status(self):
        try:
            return json.loads(self.ctl("status", "--json").stdout)["processes"]
        except (ValueError, KeyError):
            return []

    def store(self):
        for p in self.processes():
            if program(p) == BUILD + "/sg-store":
                return p
        return None

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.terminate()
            try:
                self.p.wait(30)
            except subprocess.TimeoutExpired:
                fail("the server did not stop within 30 s")
                self.p.kill()


server = Server()


def sg(*args):
    env = {"STOREGRID_HOME": HOME, "PATH": os.environ["PATH"], "LC_ALL": "C"}
    return subprocess.Popen([BUILD + "/storegrid", *args], env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Result:
    def __init__(self, p, seconds=60):
        self.hung = False
        try:
            self.out, _ = p.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.hung = True
            p.kill()
            self.out, _ = p.communicate()
        self.code = p.returncode
        self.summary = {}
        self.lines = []
        for line in self.out.split("\n"):
            try:
                o = json.loads(line)
            except ValueError:
                continue
            self.lines.append(o)
            if o.get("type") == "summary":
                self.summary = o

    def committed(self):
        """The snapshot that this run told the user about."""
        return self.summary.get("snapshot") if self.code in (0, 3) else None

    def tail(self):
        return self.out.strip().split("\n")[-1][:300]


def backup():
    return sg("backup", "--json", "--job", "kill", SRC)


# --- the vault's files ---

VAULT = None


def pack_bytes():
    n = 0
    for d, _, files in os.walk(VAULT + "/packs"):
        for f in files:
            try:
                n += os.stat(os.path.join(d, f)).st_size
            except OSError:
                pass
    return n


class TwoStores(threading.Thread):
    """Looks all the time for two processes that have the vault open, or lock it."""

    def __init__(self):
        super().__init__(daemon=True)
        self.looks = self.locked = 0
        self.found = set()
        self.ended = False

    def holders(self):
        out = []
        for p in pids():
            if program(p) != BUILD + "/sg-store":
                continue
            try:
                for fd in os.listdir("/proc/%d/fd" % p):
                    if os.readlink("/proc/%d/fd/%s" % (p, fd)).startswith(VAULT + "/journal/"):
                        out.append(p)
                        break
            except OSError:
                pass
        return out

    def locks(self):
        try:
            inode = os.stat(VAULT + "/LOCK").st_ino
        except OSError:
            return 0
        with open("/proc/locks") as f:
            return sum(1 for line in f if re.search(r"OFDLCK.*WRITE.*:%d " % inode, line) and "->" not in line)

    def run(self):
        while not self.ended:
            h, n = self.holders(), self.locks()
            self.looks += 1
            self.locked += n > 0
            if len(h) > 1:
                self.found.add("processes %s have the vault open" % h)
            if n > 1:
                self.found.add("%d locks on the vault" % n)
            time.sleep(0.03)


# --- the tree ---

def digest(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while b := f.read(1 << 20):
            h.update(b)
    return h.hexdigest()


def manifest(root):
    """Everything of a tree that must come back, as one digest."""
    h = hashlib.sha256()
    for d, dirs, files in os.walk(root):
        dirs.sort()
        for name in sorted(files) + [""]:
            path = os.path.join(d, name) if name else d
            st = os.lstat(path)
            h.update(repr((os.path.relpath(path, root), st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns,
                           0 if stat.S_ISDIR(st.st_mode) else st.st_size)).encode())
            if stat.S_ISLNK(st.st_mode):
                h.update(os.readlink(path).encode())
            elif stat.S_ISREG(st.st_mode):
                h.update(digest(path).encode())
    return h.hexdigest()


def put(name, size):
    path = os.path.join(SRC, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(RNG.randbytes(size))
    return size


def change(n, big):
    """Some new, some changed, some gone; how many bytes are new."""
    size = 0
    if os.path.exists(SRC + "/big"):
        os.unlink(SRC + "/big")
    if big:
        size += put("big", 80 << 20)
    for _ in range(RNG.randrange(2, 5)):
        size += put("large/%d" % RNG.randrange(8), RNG.randrange(1 << 20, 4 << 20))
    for _ in range(60):
        size += put("small/%d/%d" % (RNG.randrange(10), RNG.randrange(60)), RNG.randrange(0, 5000))
    d = SRC + "/small/%d" % RNG.randrange(10)
    if os.path.isdir(d) and RNG.random() < 0.3:
        shutil.rmtree(d)
    link = SRC + "/link"
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink("round %d" % n, link)
    return size


# --- aiming ---

class Tracer:
    """The store's frames and syncs; it also makes each sync take a while."""
    FRAME = re.compile(r'(recvmsg|sendmsg)\(.*?iov_base="((?:\\x[0-9a-f]{2})+)"'
                       r'(?:, iov_len=2\}, \{iov_base="((?:\\x[0-9a-f]{2})+)")?')

    def __init__(self, pid):
        self.path = os.path.join(SCRATCH, "store.trace")
        self.at, self.rest, self.commit, self.answer = 0, "", None, None
        open(self.path, "w").close()
        self.p = subprocess.Popen(
            ["strace", "-f", "-qq", "-ttt", "-xx", "-s", "8", "-o", self.path, "-e", "trace=recvmsg,sendmsg,fdatasync",
             "-e", "inject=fdatasync:delay_enter=%d" % (SYNC_DELAY_MS * 1000), "-p", str(pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ready = wait_for(lambda: self.attached(pid), 5)

    @staticmethod
    def attached(pid):
        try:
            with open("/proc/%d/status" % pid) as f:
                return re.search(r"^TracerPid:\s*[1-9]", f.read(), re.M) is not None
        except OSError:
            return False

    def look(self):
        """Reads on; sets when COMMIT came and when COMMITTED went."""
        with open(self.path, encoding="latin-1") as f:
            f.seek(self.at)
            new = f.read()
            self.at = f.tell()
        lines = (self.rest + new).split("\n")
        self.rest = lines.pop()
        for line in lines:
            m = self.FRAME.search(line)
            if not m:
                continue
            data = bytes.fromhex((m.group(2) + (m.group(3) or "")).replace("\\x", ""))
            when = float(line.split()[1])
            if m.group(1) == "recvmsg" and data[2:6] == b"\0\x19\0\0":
                self.commit = self.commit or when
            elif m.group(1) == "sendmsg" and data[2:6] == b"\0\x1a\0\0":
                self.answer = self.answer or when
        return self.commit is not None

    def stop(self):
        self.p.send_signal(signal.SIGINT)
        try:
            self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()


def child_of(parent, name):
    for p in pids():
        s = stat_of(p)
        if s and s[1] == parent and program(p) == BUILD + "/" + name:
            return p
    return None


def session_of_run(before):
    for p in server.status():
        if p["role"] == "session" and p.get("connection") and p.get("vault") and p["connection"] not in before:
            return p["pid"]
    return None


def find_target(role, run, before):
    if role == "command":
        # Only once it has something under way.
        return run.pid if wait_for(lambda: child_of(run.pid, "sg-engine"), 3) else None
    if role in ("engine", "net"):
        return wait_for(lambda: child_of(run.pid, "sg-" + role), 3)
    if role == "session":
        return wait_for(lambda: session_of_run(before), 3)
    if role == "store":
        return wait_for(server.store, 3)
    return server.p.pid


def wait_trigger(aim, run, base, tracer):
    """False: the run ended before."""
    if aim == BEFORE:
        time.sleep(RNG.uniform(0, 0.02))
        return run.poll() is None
    if aim == COMMITTING:
        wait_for(lambda: tracer.look() or run.poll() is not None, 30, 0.001)
        time.sleep(RNG.uniform(0, 2 * SYNC_DELAY_MS * 0.95) / 1000)
        return run.poll() is None
    if aim == AFTER:
        wait_for(lambda: run.poll() is not None, 30, 0.001)
        return False
    more = (56 << 20) if aim == BIG else RNG.randrange(4096, 4 << 20)
    wait_for(lambda: pack_bytes() >= base + more or run.poll() is not None, 30, 0.001)
    return run.poll() is None


class Journal:
    """How many SNAPSHOT records the newest segment has."""

    def snapshots(self):
        d = VAULT + "/journal"
        n = 0
        for name in sorted(f for f in os.listdir(d) if re.fullmatch(r"[0-9a-f]{4,}", f)):
            with open(os.path.join(d, name), "rb") as f:
                b = f.read()
            at = 64
            while at + 64 <= len(b):
                length = int.from_bytes(b[at + 4:at + 8], "big")
                kind, flags = b[at + 13], b[at + 15]
                n += kind == 1 and not flags & 1
                at += (64 + length + 7) // 8 * 8
                if not length and not kind:
                    break
        return n


# --- a round ---

class Round:
    def __init__(self, number, role, aim):
        self.number, self.role, self.aim = number, role, aim
        self.phase = None

    def name(self):
        return "round %d (%s)" % (self.number, self.role)


reported = {}  # snapshot: manifest of the tree that was backed up, and the round
trees = {}
histogram = collections.Counter()
codes = collections.Counter()
again = collections.Counter()
worst = {"resent": 0, "gone": 0.0, "client gone": 0.0, "told": 0.0}


def take(result, m, where):
    s = result.committed()
    if s:
        reported[s] = (m, where)
    return s


def master_died(old):
    t = time.monotonic()
    # Half of the new masters are started into the last breath of the old one's children.
    quick = RNG.random() < 0.5
    if quick:
        server.p.wait()
        server.start()
    left = wait_for(lambda: not any(alive(p) for p in old), 2 - (time.monotonic() - t), 0.01)
    worst["gone"] = max(worst["gone"], time.monotonic() - t)
    if not left:
        fail("after the master's end still there: %s" % [(p, program(p)) for p in old if alive(p)])
    if not quick:
        server.p.wait()
        server.start()


def run_again(r, m):
    """It must succeed; only what says "try again" is tried again."""
    for attempt in range(6):
        res = Result(backup())
        if res.code == 0:
            again[attempt] += 1
            return res
        if res.code != 75:
            break
        time.sleep(0.5)
    fail("%s: the next run exits %s: %s" % (r.name(), res.code, res.tail()))
    return res


def kill_once(r):
    size = change(r.number, r.aim == BIG)
    m = manifest(SRC)
    trees[m] = r.number
    tracer = None
    if r.aim in (COMMITTING, AFTER):
        Result(sg("snapshots", "--json"))
        store = wait_for(server.store, 3)
        if not store:
            fail("%s: no store runs" % r.name())
            return
        tracer = Tracer(store)
        if not tracer.ready:
            fail("%s: the store could not be traced" % r.name())
    before = {p.get("connection") for p in server.status()}
    base, snaps = pack_bytes(), Journal().snapshots()
    run = backup()
    target = find_target(r.role, run, before)
    hit = bool(target) and wait_trigger(r.aim, run, base, tracer) and alive(target)
    old = server.processes() if r.role == "master" else \
        [p for p in pids() if (stat_of(p) or " 0")[1] == run.pid] if r.role == "command" else []
    grown = 0
    if hit:
        when = time.time()
        os.kill(target, signal.SIGKILL)
        wait_for(lambda: not alive(target), 5)
        grown = pack_bytes() - base
    if tracer:
        time.sleep(0.02)
        tracer.look()
    if hit:
        if tracer and tracer.commit and tracer.commit <= when:
            r.phase = COMMITTING if tracer.answer is None or tracer.answer > when else AFTER
        elif Journal().snapshots() > snaps:
            r.phase = None  # after COMMIT, but on which side of the answer was not looked at
        else:
            r.phase = WRITING if grown >= 4096 else BEFORE
    if r.role == "command" and hit:
        t = time.monotonic()
        if not wait_for(lambda: not any(alive(p) for p in old), 2, 0.01):
            fail("%s: processes outlive the command: %s" % (r.name(), [program(p) for p in old if alive(p)]))
        worst["client gone"] = max(worst["client gone"], time.monotonic() - t)
    t = time.monotonic()
    first = Result(run)
    if hit:
        worst["told"] = max(worst["told"], time.monotonic() - t)
    if tracer:
        tracer.stop()
    if first.hung:
        fail("%s: the killed run hangs" % r.name())
    take(first, m, r.name() + ", the killed run")
    if hit:
        codes[first.code] += 1
        if r.phase is not None:
            histogram[r.role, r.phase] += 1
        if first.code == 0 and r.phase in (BEFORE, WRITING):
            note("%s: killed %s, and the run went on and succeeded" % (r.name(), PHASES[r.phase]))
    if r.role == "master" and hit:
        master_died(old)
    second = run_again(r, m)
    if not take(second, m, r.name() + ", the run after") and second.code == 0:
        fail("%s: the next run succeeds without a snapshot" % r.name())
    sent = second.summary.get("stored_bytes", 0)
    # Of what the killed run had not written, all; of what it had, the window; and nodes.
    bound = max(0, size - grown) + CREDIT + (1 << 20) + size // 50
    if first.committed() is None and hit:
        worst["resent"] = max(worst["resent"], sent - max(0, size - grown))
        if sent > bound:
            fail("%s: %d new bytes, %d written when killed, and the next run sent %d, more than %d" %
                 (r.name(), size, grown, sent, bound))


def restore(snapshot):
    out = os.path.join(SCRATCH, "out")
    shutil.rmtree(out, ignore_errors=True)
    os.mkdir(out)
    res = Result(sg("restore", "--json", snapshot, "--to", out), 120)
    got = manifest(out + SRC) if res.code == 0 else None
    shutil.rmtree(out, ignore_errors=True)
    return res, got


verified = set()


def verify(everything):
    res = Result(sg("snapshots", "--json"))
    listed = [o["id"] for o in res.lines if o.get("type") == "snapshot"]
    missing = [s for s in reported if s not in listed]
    if res.code != 0:
        fail("snapshots exits %d: %s" % (res.code, res.tail()))
    for s in missing:
        fail("snapshot %s, committed in %s, is not there" % (s[:10], reported[s][1]))
    unreported = 0
    for s in listed:
        unreported += s not in reported
        if s in verified and not everything:
            continue
        res, got = restore(s)
        if res.code != 0:
            fail("snapshot %s does not restore: exit %s: %s" % (s[:10], res.code, res.tail()))
        elif s in reported and got != reported[s][0]:
            fail("snapshot %s of %s is another tree" % (s[:10], reported[s][1]))
        elif got not in trees:
            fail("snapshot %s, not reported to anybody, is no tree that ever was" % s[:10])
        verified.add(s)
    return len(listed), unreported


def plan():
    out = []
    for aim, share in ((BEFORE, 0.12), (COMMITTING, 0.42), (BIG, 0.07), (AFTER, 0), (WRITING, 1)):
        n = KILLS - len(out) if share == 1 else max(1, round(KILLS * share)) if share else 0
        roles = list(ROLES)
        RNG.shuffle(roles)
        out += [(roles[i % len(roles)], aim) for i in range(n)]
    RNG.shuffle(out)
    return out


def main():
    global VAULT
    note("seed %d" % SEED)
    if not server.start():
        return
    os.makedirs(SRC)
    for i in range(8):
        put("large/%d" % i, 2 << 20)
    for i in range(600):
        put("small/%d/%d" % (i % 10, i // 10), 700)
    m = manifest(SRC)
    trees[m] = 0
    vaults = os.path.join(SCRATCH, "state/vaults")
    VAULT = os.path.join(vaults, sorted(os.listdir(vaults))[0])
    two = TwoStores()
    two.start()
    rounds = plan()
    # The very first run is one of those that are killed late.
    first = next(i for i, (_, aim) in enumerate(rounds) if aim == BIG)
    rounds[0], rounds[first] = rounds[first], rounds[0]
    number = kills = 0
    extra = KILLS // 3
    started = time.monotonic()
    while rounds:
        number += 1
        role, aim = rounds.pop(0)
        r = Round(number, role, aim)
        try:
            kill_once(r)
        except (OSError, ValueError) as e:
            fail("%s: %r" % (r.name(), e))
        kills = sum(histogram.values())
        # A kill that came too late is aimed again.
        if r.phase is None and extra > 0 or not rounds and kills < KILLS and extra > 0:
            extra -= 1
            rounds.append((role, aim))
        # What is whole now may not be after what comes: at the end all are looked at.
        if number % 20 == 0 and KILLS > 40:
            verify(False)
        if len(bad) > 20:
            break
    killing = time.monotonic() - started
    listed, unreported = verify(True)
    res = Result(sg("check", "--json", "--read-data"), 300)
    server.stop()
    two.ended = True
    two.join()

    note("%-9s" % "killed" + "".join("%32s" % p for p in PHASES))
    for role in ROLES:
        note("%-9s" % role + "".join("%32d" % histogram[role, p] for p in range(4)))
    total = [sum(histogram[role, p] for role in ROLES) for p in range(4)]
    note("%-9s" % "all" + "".join("%32d" % n for n in total))
    note("the killed runs' exit codes: %s" % dict(codes))
    note("the next run succeeded at attempt: %s" % {k + 1: v for k, v in again.items()})
    note("%d rounds in %.0f s; %d snapshots, %d of them reported to nobody; seed %d" %
         (number, killing, listed, unreported, SEED))
    note("most that a run sent again: %.1f MiB; slowest end after the master's: %.2f s, after the command's: %.2f s" %
         (worst["resent"] / (1 << 20), worst["gone"], worst["client gone"]))
    note("the slowest killed run told its user after %.1f s" % worst["told"])
    note("the vault was looked at %d times for two stores, %d times it was locked" % (two.looks, two.locked))

    def say(right, what):
        print(("ok - " if right else "not ok - ") + what, flush=True)

    say(kills >= KILLS, "%d SIGKILLs during backups (%d wanted)" % (kills, KILLS))
    say(total[WRITING] >= 0.3 * KILLS, "%d of them after the first pack write" % total[WRITING])
    say(total[COMMITTING] >= 0.3 * KILLS, "%d of them between COMMIT and its answer" % total[COMMITTING])
    if KILLS >= 24:
        say(all(sum(histogram[role, p] for p in range(4)) for role in ROLES), "each role was killed")
    say(not two.found and two.locked > 0, "never two stores held the vault" + "".join("; " + f for f in two.found))
    say(res.code == 0, "check --read-data is clean")
    if res.code != 0:
        note(res.tail())
    with open(os.path.join(SCRATCH, "server.log"), errors="replace") as f:
        odd = [line.strip() for line in f if "seccomp-kill" in line or re.search(r"signal=(?!9\b)\d", line)]
    for line in odd[:5]:
        note(line)
    say(not odd, "no process died of anything but our SIGKILLs")
    say(not bad, "each next run succeeded within its bounds, each snapshot reported restores whole")


main()
