#!/bin/bash
# The catalogue: what the overview, the runs, the alerts and the audit log say of
# backups that ended in each way; that it comes back when it is deleted; that backups
# go on without it; that a changed audit log shows; and how many event streams there are.
. "$(dirname "$0")/lib.sh"

write_conf 'Limits: { Exempt = ["127.0.0.1"]; };'
check "the server starts" start_server || exit
check "a client" new_client c1
# the other is an ordinary user's, who cannot read everything
ID=$((61000 + RANDOM % 2000))
while getent passwd $ID >/dev/null; do ID=$((ID + 1)); done
as_user() { setpriv --reuid $ID --regid $ID --clear-groups --inh-caps=-all -- "$@"; }
programs=$BUILD
if ! as_user test -x "$BUILD/storegrid"; then
	# a build directory that only root may enter
	programs=$T/programs
	mkdir "$programs"
	cp "$BUILD"/storegrid "$BUILD"/sg-* "$programs"
fi
user_sg() { as_user env -i PATH="$PATH" STOREGRID_HOME="$T/c2" "$programs/storegrid" "$@"; }
enrol_user() {
	mkdir "$T/c2" && echo "Paths: { Programs = \"$programs\"; };" >"$T/c2/SGConfiguration.conf" &&
		chown -R $ID:$ID "$T/c2" && ctl client add acme/c2 >"$T/c2.token" 2>/dev/null &&
		user_sg enrol --token-file - <"$T/c2.token"
}
check "and an ordinary user's" enrol_user
DB=$T/state/catalog/catalog.db
mkdir "$T/one" "$T/two"
head -c 250000 /dev/urandom >"$T/one/a"
echo readable >"$T/two/b"
echo secret >"$T/two/closed"

# say VERB...: as JSON, in $T/say
say() { ctl "$@" --json >"$T/say" 2>"$T/say.err"; }
# is EXPRESSION: python's, with d what was said last and c, r by client's name
is() {
	python3 - "$T/say" "$1" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
c = {x["name"]: x for x in d.get("clients", ())}
r = {}
for x in d.get("runs", ()):
    r.setdefault(x["name"], []).append(x)
if not eval("(" + sys.argv[2] + ")"):
    print(json.dumps(d))
    sys.exit(1)
PY
}
# says_soon SECONDS VERB EXPRESSION
says_soon() {
	local end=$((SECONDS + $1))
	while :; do
		say $2 && is "$3" >"$T/is" && return 0
		[ "$SECONDS" -lt "$end" ] || { cat "$T/is"; return 1; }
		sleep 0.2
	done
}
vault_bytes() { find "$T/state/vaults" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }'; }
pid_of() { ctl status --json | grep -o "\"role\":\"$1\",\"pid\":[0-9]*" | grep -o '[0-9]*$' | head -n 1; }

# --- runs that end in each way ---
check "a backup of the first" sg c1 backup --job one "$T/one"
sleep 2
say overview
check "two seconds later it is in the overview" is \
	'c["c1"]["status"] == "ok" and c["c1"]["snapshots"] == 1 and c["c1"]["last_good"] > 0'
check "with the bytes of its vault" is 'c["c1"]["bytes"] > 250000'
check "and the other has none" is 'c["c2"]["status"] == "never" and c["c2"]["last_good"] == 0'
chmod 644 "$T/two/closed"
check "a backup of the second" user_sg backup --job two "$T/two"
chmod 600 "$T/two/closed"
check_exit "one that cannot read all: exit 3" 3 user_sg backup --job two "$T/two"
head -c 400000000 /dev/urandom >"$T/one/big"
STOREGRID_HOME=$T/c1 setsid "$BUILD/storegrid" backup --job one "$T/one" >"$T/int.out" 2>&1 &
pid=$!
for _ in $(seq 1000); do	# held once something came
	[ "$(vault_bytes)" -gt 20000000 ] && break
	kill -0 "$pid" 2>/dev/null || break
done
kill -STOP -- "-$pid"
check "one that goes on shows" says_soon 10 "runs acme/c1" 'd["runs"][0]["state"] == "running" and d["runs"][0]["objects"] > 0'
check "in the overview, too" says_soon 1 overview 'c["c1"]["status"] == "running" and d["totals"]["running"] == 1'
kill -INT "$pid"
kill -CONT -- "-$pid"
wait "$pid"
code=$?
[ "$code" = 130 ] && ok "and ends with SIGINT" || not_ok "and ends with SIGINT (exit $code)"
rm "$T/one/big"

# where the client's last word was lost on a busy connection, the run is failed when
# its grace of 60 s is over
check "the overview says cancelled, or failed" says_soon 75 overview 'c["c1"]["last_run_state"] in ("cancelled", "failed")'
lost=$(grep -o '"name":"c1".*"last_run_state":"[a-z]*"' "$T/say" | grep -o '"last_run_state":"[a-z]*"' | head -n 1 | cut -d '"' -f 4)
note "which: $lost"
check "and of the other incomplete" is 'c["c2"]["last_run_state"] == c["c2"]["status"] == "incomplete"'
check "an incomplete backup is no good one" eval 'say runs acme/c2 &&
	is "[x[\"state\"] for x in d[\"runs\"]] == [\"incomplete\", \"ok\"]" && ended=$(
	python3 -c "import json; print(json.load(open(\"$T/say\"))[\"runs\"][1][\"ended\"])") &&
	say overview && is "c[\"c2\"][\"last_good\"] == $ended and c[\"c2\"][\"snapshots\"] == 2"'
say runs
check "the states of all runs" is \
	'[x["state"] for x in r["c1"]] == ["'"$lost"'", "ok"] and len(r["c2"]) == 2'
check "the server's view: what came and what is stored" is \
	'r["c1"][1]["received"] > 250000 and r["c1"][1]["new_bytes"] > 250000 and len(r["c1"][1]["snapshot"]) == 64'
check "the client's apart: files and what was left out" is \
	'r["c1"][1]["reported"]["files"] == 1 and r["c1"][1]["reported"]["bytes"] == 250000 and
	r["c2"][0]["reported"]["outcome"] == "incomplete" and r["c2"][0]["reported"]["skipped"] == 1'
check "a cancelled run has no snapshot" is 'not r["c1"][0].get("snapshot", "").strip("0")'
say alerts
check "alerts: the incomplete backup, and a failed one that nobody cancelled" is \
	'{(a["kind"], a["name"]) for a in d["alerts"]} - {("failed", "c1")} == {("incomplete", "c2")} and
	len(d["alerts"]) == ('"'$lost'"' == "failed") + 1'
say audit list
check "the audit log has both clients" is \
	'{"acme/c1", "acme/c2"} == {e["object"] for e in d["entries"] if e["act"] == "client-enrol"}'
check_exit "and is whole" 0 ctl audit verify --json
check_says "which says so" '"ok":true'

# --- deleted ---
# What is not lost: summaries, and of each run with a snapshot all but its
# beginning and the client's report.
what_stays() {
	say overview && cp "$T/say" "$T/o" && say runs && cp "$T/say" "$T/r" && say alerts &&
		python3 - "$T/o" "$T/r" "$T/say" <<'PY'
import json, sys
o, r, a = (json.load(open(p)) for p in sys.argv[1:])
for c in o["clients"]:
    kept = [c[k] for k in ("name", "client", "vault", "state", "last_good", "snapshots",
        "last_new_bytes", "due", "seen")]
    # the first's run without a snapshot is lost
    print(*kept, *([c["status"], c["last_run_state"], c["last_run_end"]] if c["name"] == "c2" else []))
for x in sorted((x for x in r["runs"] if x.get("snapshot", "").strip("0")), key=lambda x: (x["name"], x["ended"], x["snapshot"])):
    print(*(x[k] for k in ("name", "label", "state", "ended", "snapshot", "new_bytes", "closure_bytes")))
print(*sorted((x["kind"], x["name"]) for x in a["alerts"] if x["kind"] != "failed"))
PY
}
what_stays >"$T/before"
stop_server
rm -f "$DB" "$DB-wal" "$DB-shm"
check "without its database the server starts" start_server || exit
comes_back() {
	local end=$((SECONDS + 15))
	while :; do
		what_stays >"$T/after"
		cmp -s "$T/before" "$T/after" && break
		if [ "$SECONDS" -ge "$end" ]; then
			diff "$T/before" "$T/after"
			return 1
		fi
		sleep 0.2
	done
	echo "after $((SECONDS - end + 15)) s"
}
check "within 15 s summaries, runs and alerts are as before" comes_back
sed 's/^/# /' "$T/check.out"
check "the bytes of the vaults are known anew" says_soon 5 overview 'c["c1"]["bytes"] > 250000 and c["c2"]["bytes"] > 0'
say runs
check "but for the run without a snapshot" is '[x["state"] for x in r["c1"]] == ["ok"]'
check "and the reports" is 'not any("reported" in x and x["reported"] for x in d["runs"])'
say audit list
check "the audit log begins anew" is 'd["entries"][-1]["number"] == len(d["entries"]) and
	not any(e["act"] == "client-add" for e in d["entries"])'

# --- killed under a backup ---
head -c 150000000 /dev/urandom >"$T/one/big"
STOREGRID_HOME=$T/c1 "$BUILD/storegrid" backup --job one "$T/one" >"$T/dead.out" 2>&1 &
pid=$!
kills=0
while kill -0 "$pid" 2>/dev/null && [ "$kills" -lt 3 ]; do
	cat=$(pid_of catalog)
	if [ -n "$cat" ]; then
		kill -KILL "$cat" && kills=$((kills + 1))
	fi
	sleep 0.2
done
wait "$pid"
code=$?
[ "$code" = 0 ] && [ "$kills" -ge 1 ] && ok "a backup while the catalogue is killed $kills times" || {
	not_ok "a backup while the catalogue is killed (exit $code, $kills times)"
	sed 's/^/# /' "$T/dead.out" | tail -n 5
}
in_log "it was killed" 'role-killed role=catalog'
check "its snapshot is in the history" says_soon 20 "runs acme/c1" \
	'[x["state"] for x in d["runs"]] == ["ok", "ok"] and d["runs"][0]["new_bytes"] > 150000000'
check "and in the summary" says_soon 20 overview 'c["c1"]["snapshots"] == 2 and c["c1"]["status"] == "ok"'
# held back for a whole backup: what is said meanwhile is not waited for
rm "$T/one/big"
cat=$(pid_of catalog)
kill -STOP "$cat"
check "a backup while it is stopped" sg c1 backup --job one "$T/one"
kill -KILL "$cat"
check "that one, too, is in the history" says_soon 20 "runs acme/c1" \
	'len(d["runs"]) == 3 and d["runs"][0]["state"] == "ok"'

# --- event streams ---
# Nine API tokens with two streams each; the user is somebody else.
for i in 1 2 3 4 5 6 7 8 9; do
	ctl api-token add "stream$i" --right viewer --expires 1d 2>/dev/null
done >"$T/tokens"
secret=$(ctl user add ann --right viewer 2>/dev/null | head -n 1)
cat >"$T/streams.py" <<'PY'
import json, os, socket, ssl, sys, time
port, files = int(sys.argv[1]), sys.argv[2:]
def connect():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20))
def ask(text, body=b""):
    s = connect()
    s.sendall((text + "\r\nHost: localhost\r\n").encode() + body)
    d = b""
    while b"\r\n\r\n" not in d:
        p = s.recv(65536)
        if not p:
            break
        d += p
    return s, (d[9:12].decode() if d.startswith(b"HTTP/1.1 ") else "none")
def stream(token):
    return ask(f"GET /api/v1/events HTTP/1.1\r\nAuthorization: Bearer {token}", b"\r\n")
def post(path, **what):
    b = json.dumps(what).encode()
    s, status = ask(f"POST {path} HTTP/1.1", b"Content-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(b) + b)
    s.close()
    return status
def say(*what):
    print(*what, flush=True)
tokens = open(files[0]).read().split()
say("setup", post("/api/v1/setup", secret=files[1], user="ann", password="correct horse ann"))
kept = []
for n, t in enumerate(tokens[:8]):
    for _ in range(2):
        s, status = stream(t)
        say("stream", status)
        kept.append(s)
    if n == 0:
        s, status = stream(t)
        say("third", status)
        s.close()
s, status = stream(tokens[8])
say("seventeenth", status)
s.close()
start = time.time()
say("signin", post("/api/v1/signin", user="ann", password="correct horse ann"))
s, status = ask(f"GET /api/v1/overview HTTP/1.1\r\nAuthorization: Bearer {tokens[8]}", b"Connection: close\r\n\r\n")
say("call", status)
s.close()
say("both in", "time" if time.time() - start < 10 else f"{time.time() - start:.1f} s")
say("idle")
sys.stdin.read(1)
# all of them live, and those that end make room
for s in kept:
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
        say("ended")
    except ssl.SSLWantReadError:
        say("alive")
kept.pop().close()
for _ in range(50):
    s, status = stream(tokens[8])
    if status == "200":
        break
    s.close()
    time.sleep(0.2)
say("room", status)
PY
mkfifo "$T/go"
python3 "$T/streams.py" "$GUIPORT" "$T/tokens" "$secret" <"$T/go" >"$T/streams.out" 2>&1 &
pid=$!
exec 7>"$T/go"
for _ in $(seq 300); do
	grep -q '^idle' "$T/streams.out" && break
	kill -0 "$pid" 2>/dev/null || break
	sleep 0.1
done
check "two streams each, sixteen in all" eval '[ "$(grep -c "^stream 200" "$T/streams.out")" = 16 ]'
check "the third of one is 429" grep -q '^third 429' "$T/streams.out"
check "the seventeenth is 503" grep -q '^seventeenth 503' "$T/streams.out"
check "while they idle somebody signs in" grep -q '^signin 200' "$T/streams.out"
check "and a token's call is answered" grep -q '^call 200' "$T/streams.out"
check "both in time" grep -q '^both in time' "$T/streams.out"
date >"$T/one/now"
check "and a backup works" sg c1 backup --job one "$T/one"
echo >&7
exec 7>&-
wait "$pid"
check "all of them lived through it" eval '[ "$(grep -c "^alive" "$T/streams.out")" = 16 ]'
check "one that ends makes room" grep -q '^room 200' "$T/streams.out"
grep -vE '^(stream 200|alive)' "$T/streams.out" | sed 's/^/# /'

# --- a byte of the audit log ---
stop_server
flip=$(python3 - "$DB" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
n, who = db.execute("SELECT number, who FROM audit WHERE act = 'user-add'").fetchone()
db.execute("UPDATE audit SET who = ? WHERE number = ?", (chr(ord(who[0]) ^ 1) + who[1:], n))
db.commit()
db.close()
print(n)
PY
)
rm -f "$DB-shm"
owner=$(stat -c %u:%g "$T/state/catalog")
chown "$owner" "$DB" "$DB"-* 2>/dev/null
check "the server starts with a changed audit log" start_server || exit
check_exit "audit verify: exit 1" 1 ctl audit verify --json
check_says "which names the entry" "\"first_bad\":$flip[,}]"
check_exit "and for a person" 1 ctl audit verify
check_says "as well" "(^|[^0-9])$flip([^0-9]|\$)"
check_exit "a backup still works" 3 user_sg backup --job two "$T/two"

if grep -E '(crash|seccomp-kill) ' "$T/server.log" >"$T/check.out"; then
	not_ok "nothing crashed"
	sed 's/^/# /' "$T/check.out" | head -n 20
else
	ok "nothing crashed"
fi
