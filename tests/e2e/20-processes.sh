#!/bin/bash
# What runs is exactly what ARCHITECTURE.md names: each role under its own user, no
# capability outside the master, a filter of its own, and no descriptor too many.
. "$(dirname "$0")/lib.sh"

write_conf 'Pool: { SessionMin = 2; };'
check "the server starts" start_server || exit 1
new_client c1 >/dev/null 2>&1
mkdir "$T/src"
head -c 60000000 /dev/urandom >"$T/src/a"
sg c1 backup --job t "$T/src" >/dev/null 2>&1
sleep 0.5

# A role that is just starting still has what it is about to drop: look again until
# nothing is under way, but not for ever.
for _ in $(seq 20); do
	ctl sandbox --json >"$T/sandbox.json"
	told=$(grep -o '"pid":[0-9]*' "$T/sandbox.json" | cut -d: -f2 | sort)
	live=$(ps -o pid= -s "$server_pid" | tr -d ' ' | sort)
	[ "$told" = "$live" ] && ! grep -q '"role":"api"[^}]*"uid":0' "$T/sandbox.json" && break
	sleep 0.3
done
cat >"$T/look.py" <<'EOF'
import json, os, sys

procs = json.load(open(sys.argv[1]))["processes"]
session = int(sys.argv[2])
bad = []

def say(ok, what):
    print(("ok" if ok else "not ok") + " - " + what)
    if not ok:
        for b in bad:
            print("# " + b)
    bad.clear()

# The pids by session id, not by what the server says of itself.
live = {}
for p in os.listdir("/proc"):
    if p.isdigit():
        try:
            s = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()
            if int(s[3]) == session:
                live[int(p)] = s[0]
        except OSError:
            pass
told = {p["pid"] for p in procs}
bad += [f"pid {p} runs but status does not name it" for p in live if p not in told]
say(not bad, "status names every process that runs, and no other runs")

want = {"master", "logger", "listener", "session", "keyd", "auth", "login", "store", "api", "catalog", "dialer"}
roles = {p["role"] for p in procs}
bad += [f"missing {r}" for r in want - roles] + [f"surplus {r}" for r in roles - want]
say(not bad, "exactly the roles of this version run")

by_role = {}
for p in procs:
    by_role.setdefault(p["role"], set()).add(p["uid"])
uids = {}
for r, u in by_role.items():
    if len(u) != 1:
        bad.append(f"{r} runs under {u}")
    uids.setdefault(u.copy().pop(), []).append(r)
bad += [f"uid {u} is shared by {r}" for u, r in uids.items() if len(r) > 1]
bad += [f"{r} runs as root" for u, r in uids.items() if u == 0 and r != ["master"]]
say(not bad, "each role has a user of its own")

# A worker that just ended (the one that answered) is not there to be looked at.
procs = [p for p in procs if os.path.exists(f"/proc/{p['pid']}/status") or
    p["role"] not in ("api", "session")]
for p in procs:
    for t in os.listdir(f"/proc/{p['pid']}/task"):
        s = dict(l.split(":", 1) for l in open(f"/proc/{p['pid']}/task/{t}/status") if ":" in l)
        caps = [int(s[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")]
        if p["role"] != "master" and any(caps):
            bad.append(f"{p['role']} {t} has capabilities {caps}")
        if p["role"] == "master" and any(c & ~0x400e0 for c in caps):
            bad.append(f"the master has more than four capabilities: {caps}")
        if s["NoNewPrivs"].strip() != "1" or s["Seccomp"].strip() != "2":
            bad.append(f"{p['role']} {t}: NoNewPrivs {s['NoNewPrivs']} Seccomp {s['Seccomp']}")
        need = 1 if p["role"] == "master" else 2
        if int(s["Seccomp_filters"]) < need:
            bad.append(f"{p['role']} {t} has {s['Seccomp_filters']} filters")
        if s["Groups"].split():
            bad.append(f"{p['role']} has groups {s['Groups']}")
say(not bad, "every thread: no capability but the master's four, no_new_privs, own filter, no groups")

for p in procs:
    if p["role"] != "master" and p["dumpable"] != "no":
        bad.append(f"{p['role']} is dumpable: {p['dumpable']}")
    if p["role"] not in ("master",) and p["root"] == "/":
        bad.append(f"{p['role']} sees the whole tree")
say(not bad, "every role is undumpable and has a root directory of its own")

# What each descriptor is: the table "Descriptors at start" of ARCHITECTURE.md.
def kind(pid, fd):
    t = os.readlink(f"/proc/{pid}/fd/{fd}")
    if t.startswith("socket:"):
        return "socket"
    if t.startswith("/memfd:"):
        return "memfd"
    return t

idle = {
    "session": lambda k: k[3:7] == ["socket"] * 4 and k[7:] == ["memfd"],
    "api": lambda k: k[3:] == ["socket"] * 4,
    "login": lambda k: k[3:] == ["socket"] * 3,
    "dialer": lambda k: k[3:] == ["socket"] * 2,
    "catalog": lambda k: k[3:7] == ["socket"] * 4 and
        all(x == "socket" or "catalog.db" in x or x.startswith("/") and "catalog" in x for x in k[7:]),
    "logger": lambda k: all(x == "socket" for x in k[3:]),
    "listener": lambda k: all(x == "socket" for x in k[3:]),
    "keyd": lambda k: all(x == "socket" for x in k[3:]),
    "auth": lambda k: k[3:6] == ["socket"] * 3 and
        all(x == "socket" or "auth.db" in x or x.startswith("/") and "auth" in x for x in k[6:]),
    "store": lambda k: k[3:7] == ["socket"] * 4 and
        all(x in ("socket", "memfd", "anon_inode:[eventfd]") or "/vaults/" in x or x.startswith("/") for x in k[7:]),
}
for p in procs:
    if p["role"] not in idle or p.get("connection"):
        continue
    try:
        fds = sorted(int(f) for f in os.listdir(f"/proc/{p['pid']}/fd"))
        k = [kind(p["pid"], f) for f in fds]
    except OSError:
        continue
    std = ["/dev/null"] * (2 if p["role"] == "logger" else 3)
    if fds[:len(k)] != list(range(len(fds))) and p["role"] in ("session", "api"):
        bad.append(f"{p['role']}: descriptors {fds}")
    elif k[:len(std)] != std or not idle[p["role"]](k):
        bad.append(f"{p['role']}: {list(zip(fds, k))}")
say(not bad, "no role holds a descriptor that ARCHITECTURE.md does not name")
EOF
while read -r line; do
	case $line in
	"ok - "*) ok "${line#ok - }" ;;
	"not ok - "*) not_ok "${line#not ok - }" ;;
	*) printf '%s\n' "$line" ;;
	esac
done < <(python3 "$T/look.py" "$T/sandbox.json" "$server_pid" 2>&1 || echo "not ok - the look at /proc ran to its end")

check "sandbox prints a table too" ctl sandbox

# Keys stay in keyd: the private key's bytes are in no other process's memory. The
# key is read from keyd's directory by root, which the server's processes are not.
keyscan() {
	python3 - "$T" "$T/sandbox.json" <<'EOF'
import glob, json, re, subprocess, sys
t, procs = sys.argv[1], json.load(open(sys.argv[2]))["processes"]
needles = []
for f in glob.glob(t + "/state/keyd/*.key"):
    text = subprocess.run(["openssl", "pkey", "-in", f, "-text", "-noout"],
        capture_output=True, text=True).stdout
    priv = re.search(r"priv:\s*((?:[0-9a-f]{2}:?\s*)+)", text).group(1)
    raw = bytes.fromhex(re.sub(r"[^0-9a-f]", "", priv)).lstrip(b"\0")
    # half a key is enough to be found; numbers lie in memory the other way round
    needles += [raw[8:24], raw[::-1][8:24]]
assert len(needles) == 4
hits = {}
for p in procs:
    try:
        maps = open(f"/proc/{p['pid']}/maps").read().splitlines()
        mem = open(f"/proc/{p['pid']}/mem", "rb")
    except OSError:
        continue
    for m in maps:
        a, perm = m.split()[:2]
        if "r" not in perm or "w" not in perm:
            continue
        lo, hi = (int(x, 16) for x in a.split("-"))
        try:
            mem.seek(lo)
            data = mem.read(hi - lo)
        except (OSError, ValueError, OverflowError):
            continue
        if any(n in data for n in needles):
            hits[p["role"]] = hits.get(p["role"], 0) + 1
print("hits:", hits)
sys.exit(0 if set(hits) == {"keyd"} else 1)
EOF
}
check "private key bytes are in keyd's memory and in no other" keyscan

# An upgrade under a running master changes nothing: programs are held open.
no_wrong_env() {
	local p
	for p in $(ps -o pid= -s "$server_pid"); do
		[ "$p" = "$server_pid" ] && continue
		[ -s "/proc/$p/environ" ] && tr '\0' '\n' <"/proc/$p/environ" && return 1
	done
	return 0
}
check "no role has an environment" no_wrong_env
