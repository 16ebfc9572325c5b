#!/bin/bash
# How long GET /api/v1/overview takes over TLS with many clients and runs in the
# history, at rest and while backups go on without a pause.
#
# CLIENTS (1000), RUNS (100000), CALLS (50): how many.
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/e2e/lib.sh"
CLIENTS=${CLIENTS:-1000}
RUNS=${RUNS:-100000}
CALLS=${CALLS:-50}

write_conf 'Limits: { Exempt = ["127.0.0.1"]; };'
start_server && new_client c1 >/dev/null 2>&1 || exit 1
token=$(ctl api-token add bench --right viewer --expires 1d 2>/dev/null | head -n 1)
mkdir "$T/tree"
head -c 1000000 /dev/urandom >"$T/tree/a"
sg c1 backup --job t "$T/tree" >/dev/null 2>&1 || exit 1
stop_server

# Enrolled clients as auth knows them; their runs as the catalogue keeps them. What
# auth lists at the start has to be the same clients, or they would be removed ones.
python3 - "$T/state" "$CLIENTS" "$RUNS" <<'PY' || exit 1
import os, sqlite3, sys, time
state, clients, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
now = int(time.time())
auth = sqlite3.connect(state + "/auth/" + [f for f in os.listdir(state + "/auth") if f.endswith(".db")][0])
cat = sqlite3.connect(state + "/catalog/catalog.db")
account, instance = auth.execute("SELECT c.account, v.instance FROM client c JOIN vault v ON v.id = c.vault").fetchone()
vault_state = auth.execute("SELECT state FROM vault").fetchone()[0]
template = cat.execute("SELECT * FROM client").fetchone()
names = [d[0] for d in cat.execute("SELECT * FROM client").description]
run_names = [d[0] for d in cat.execute("SELECT * FROM run").description]
run_row = dict(zip(run_names, cat.execute("SELECT * FROM run").fetchone()))
each = runs // clients
for n in range(clients):
    client, vault = os.urandom(16), os.urandom(16)
    name = f"pc{n:05}"
    auth.execute("INSERT INTO vault (id, instance, account, name, state) VALUES (?,?,?,?,?)",
        (vault, instance, "acme", name, vault_state))
    auth.execute("INSERT INTO client (id, account, name, key, vault, created, seen) VALUES (?,?,?,?,?,?,?)",
        (client, account, name, os.urandom(32), vault, now - 90 * 86400, now))
    row = dict(zip(names, template))
    row.update(id=n + 10, client=client, name=name, vault=vault, snapshots=each, last_good=now - 3600,
        last_begun=now - 3660, last_ended=now - 3600, last_run=(n + 1) * each + 10, due=now + 86400)
    cat.execute(f"INSERT INTO client ({','.join(names)}) VALUES ({','.join('?' * len(names))})", [row[k] for k in names])
    cat.execute("INSERT INTO vault (vault, seq, at, bytes, objects, snapshots, fs_free, fs_total)"
        " VALUES (?,?,?,?,?,?,?,?)", (vault, each, now, 10 ** 9, 10 ** 5, each, 10 ** 12, 2 * 10 ** 12))
    for k in range(each):
        at = now - 3600 - (each - 1 - k) * 43200
        r = dict(run_row)
        r.update(number=n * each + k + 11, cid=n + 10, vault=vault, run=os.urandom(16), snapshot=os.urandom(32),
            started=at - 60, ended=at, at=at - 60, heard=at)
        cat.execute(f"INSERT INTO run ({','.join(run_names)}) VALUES ({','.join('?' * len(run_names))})",
            [r[k] for k in run_names])
for db, d in ((auth, "auth"), (cat, "catalog")):
    db.commit()
    db.close()
    who = os.stat(state + "/" + d)
    for f in os.listdir(state + "/" + d):
        os.chown(f"{state}/{d}/{f}", who.st_uid, who.st_gid)
PY
start_server || exit 1

calls() { # WHAT: CALLS calls, a connection each
	python3 - "$GUIPORT" "$token" "$CALLS" "$CLIENTS" "$1" <<'PY'
import json, socket, ssl, statistics, sys, time
port, token, calls, clients, what = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
whole, answer = [], []
for n in range(calls):
    begin = time.monotonic()
    s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60))
    asked = time.monotonic()
    s.sendall(f"GET /api/v1/overview HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        "Connection: close\r\n\r\n".encode())
    d = b""
    try:
        while p := s.recv(1 << 18):
            d += p
    except ssl.SSLEOFError:
        pass
    end = time.monotonic()
    s.close()
    if not d.startswith(b"HTTP/1.1 200"):
        sys.exit(f"no answer: {d[:100]!r}")
    got = json.loads(d.partition(b"\r\n\r\n")[2])
    if got["totals"]["clients"] < clients:
        sys.exit(f"{got['totals']}")
    whole.append((end - begin) * 1000)
    answer.append((end - asked) * 1000)
for name, v in (("with connection and TLS", whole), ("from request to end", answer)):
    print(f"{what}, {name}: minimum {min(v):.1f} ms, median {statistics.median(v):.1f} ms, maximum {max(v):.1f} ms"
        f" ({calls} calls, {len(d) >> 10} KiB)", flush=True)
PY
}
sleep 5		# auth lists its clients
calls "at rest" || exit 1
(
	n=0
	while [ ! -e "$T/enough" ]; do
		head -c 30000000 /dev/urandom >"$T/tree/a"
		sg c1 backup --job t "$T/tree" >/dev/null 2>&1 && n=$((n + 1))
		echo "$n" >"$T/count"
	done
) &
loop=$!
calls "with backups of 30 MB in a loop"
touch "$T/enough"
wait "$loop"
note "$(cat "$T/count") backups meanwhile"
