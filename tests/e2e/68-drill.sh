#!/bin/bash
# The take-over drill: an api worker with an attacker's code in it (tests/fault/drill.c)
# does what it can, before a log-in and as a viewer. Every act is refused, each leaves a
# line in the log, and the server goes on.
. "$(dirname "$0")/lib.sh"

mkdir "$T/programs"
for p in "$BUILD"/sg-*; do
	ln -s "$p" "$T/programs/"
done
rm "$T/programs/sg-http"
cp "$BUILD/tests/fault/sg-http-drill" "$T/programs/sg-http"
write_conf
sed -i "s,Programs = \"$BUILD\",Programs = \"$T/programs\"," "$CONF"
echo 'Limits: { Exempt = ["127.0.0.1"]; };' >>"$CONF"
check "the server starts with a worker that was taken over" start_server || exit 1
check "a viewer's token" sh -c "'$BUILD/storegridctl' -f '$CONF' api-token add watcher \
	--right viewer --json >'$T/token.json'"

cat >"$T/drill.py" <<'EOF2'
import json, re, socket, ssl, sys, time
port, log, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ctx = ssl.create_default_context()
ctx.check_hostname = False
ctx.verify_mode = ssl.CERT_NONE

def connect():
    s = socket.create_connection(("127.0.0.1", port), 10)
    return ctx.wrap_socket(s)

def ask(s, path, headers=""):
    s.settimeout(20)
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            got = s.recv(65536)
            if not got:
                return 0, ""
            data += got
        head, body = data.split(b"\r\n\r\n", 1)
        m = re.search(rb"content-length: *(\d+)", head, re.I)
        want = int(m.group(1)) if m else 0
        while len(body) < want:
            got = s.recv(65536)
            if not got:
                break
            body += got
        return int(head.split()[1]), body.decode(errors="replace")
    except OSError:
        return 0, ""

def token_of(n):
    return "X-StoreGrid-Token: " + "d1" * 14 + f"{n:04x}\r\n"

names = []
s = connect()
while True:
    status, body = ask(s, "/healthz", token_of(0x8000 + len(names)))
    s.close()
    s = connect()
    name = json.loads(body)["error"] if status == 418 else ""
    if name in ("", "no such act"):
        break
    names.append(name)
s.close()

def lines():
    return open(log, errors="replace").read().count("\n")

def noted(since):
    for _ in range(30):
        new = open(log, errors="replace").read().split("\n")[since:]
        for l in new:
            # the worker's own line says nothing: an attacker would not write it
            if " api refused by=" not in l and re.search(r"seccomp-kill|role-dropped|refused|denied|needs the right|malformed|crash", l):
                return True
        time.sleep(0.1)
    return False

# Acts for which the answer is harmless, as the design has it: what anybody may ask.
allowed = {
    "auth: send AUTH_NONCE": "a nonce is public; with bytes behind it, it is refused",
}
bad = {}
for who in ("before a log-in", "as a viewer"):
    done = 0
    for n, name in enumerate(names):
        s = connect()
        if who != "before a log-in":
            status, body = ask(s, "/api/v1/me", f"Authorization: Bearer {token}\r\n")
            if status != 200:
                bad[name] = f"sign-in: {status} {body}"
                s.close()
                continue
        since = lines()
        status, body = ask(s, "/healthz", token_of(n))
        s.close()
        # one that is ended while it answers leaves half an answer
        got = json.loads(body)["error"] if status == 418 and body else "dead"
        ok = got in ("dead", "dropped", "no channel", "error") or got.endswith("refused")
        if not ok:
            bad[name] = got
        elif got not in ("no channel",) and not noted(since):
            bad[name] = f"{got}, but nothing in the log"
        done += 1
    real = [b for b in bad]
    print(("not ok" if real else "ok") + f" - {done} acts {who} are refused and noted")
    for b in real:
        print(f"# {b}: {bad[b]}")
    bad.clear()
print(("ok" if len(names) >= 30 else "not ok") + f" - there are at least 30 acts")
EOF2
tok=$(python3 -c 'import json,sys
d = json.load(open(sys.argv[1]))
def walk(v):
    if isinstance(v, dict):
        for x in v.values(): yield from walk(x)
    elif isinstance(v, list):
        for x in v: yield from walk(x)
    elif isinstance(v, str) and v.startswith("sgapi_"): yield v
print(next(walk(d), ""))' "$T/token.json")
while read -r line; do
	case $line in
	"ok - "*) ok "${line#ok - }" ;;
	"not ok - "*) not_ok "${line#not ok - }" ;;
	*) printf '%s\n' "$line" ;;
	esac
done < <(python3 "$T/drill.py" "$GUIPORT" "$T/server.log" "$tok" 2>&1 ||
	echo "not ok - the drill ran to its end")
check "the server lives" ctl status
check "no account was made" sh -c "! '$BUILD/storegridctl' -f '$CONF' account list | grep -q drill"
check "no user was made" sh -c "! '$BUILD/storegridctl' -f '$CONF' user list | grep -q drill"
