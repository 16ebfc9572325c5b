#!/bin/bash
# How much slower backups get while somebody guesses passwords as fast as the server
# lets them, from 100 addresses: ratio of the medians, runs in turn. In network
# namespaces of its own.
#
# RUNS (5): of each kind. MB (300): the tree, new in each run.
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/e2e/lib.sh"
RUNS=${RUNS:-5}
MB=${MB:-300}
S=sg-guess-s-$$
F=sg-guess-f-$$
guesser=
end() {
	[ -z "$guesser" ] || kill "$guesser" 2>/dev/null
	stop_server
	ip netns del "$S" 2>/dev/null
	ip netns del "$F" 2>/dev/null
	finish
}
trap end EXIT
ip netns add "$S" && ip netns add "$F" &&
	ip -n "$S" link add sg0 type veth peer name sg1 netns "$F" &&
	ip -n "$S" link set lo up && ip -n "$F" link set lo up &&
	ip -n "$S" addr add 192.0.2.1/30 dev sg0 &&
	ip -n "$F" addr add 192.0.2.2/30 dev sg1 &&
	ip -n "$S" link set sg0 up && ip -n "$F" link set sg1 up &&
	ip -n "$S" route add 10.0.0.0/8 via 192.0.2.2 &&
	ip -n "$F" route add local 10.0.0.0/8 dev lo || exit 1
cat >"$CONF" <<EOF2
ID = "guessed";
Ports: { Server = $PORT; GUI = $GUIPORT; };
Listen: { Server = ["192.0.2.1"]; GUI = ["192.0.2.1"]; };
Discovery: { $DISCOVERY };
Paths: { State = "$T/state"; Run = "$T/run"; Programs = "$BUILD"; };
Advertise = "192.0.2.1";
EOF2
start_server nsenter --net="/run/netns/$S" || exit 1
fsg() { STOREGRID_HOME=$T/c1 nsenter --net="/run/netns/$S" "$BUILD/storegrid" "$@"; }
ctl account add acme >/dev/null
mkdir "$T/c1" "$T/tree"
echo "Paths: { Programs = \"$BUILD\"; };" >"$T/c1/SGConfiguration.conf"
ctl client add acme/c1 >"$T/c1.token" 2>/dev/null
fsg enrol --token-file "$T/c1.token" >/dev/null 2>&1 || exit 1
ctl user add ann --right admin >/dev/null 2>&1

# Eight threads, each call a connection of its own from the next of 100 addresses in
# 100 networks; every fifth names a user that exists.
cat >"$T/guess.py" <<'PY'
import collections, itertools, json, socket, ssl, sys, threading, time
port = int(sys.argv[1])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
count, lock, stop = collections.Counter(), threading.Lock(), time.monotonic() + 600
def guess(first):
    for n in itertools.count(first, 8):
        body = json.dumps({"user": "ann" if n % 5 == 0 else f"user{n}", "password": f"password {n}"}).encode()
        try:
            s = socket.create_connection(("192.0.2.1", port), 20, (f"10.{n % 100}.0.1", 0))
            try:
                s = context.wrap_socket(s)
                s.sendall(b"POST /api/v1/signin HTTP/1.1\r\nHost: 192.0.2.1\r\nConnection: close\r\n"
                    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                d = s.recv(4096)
                what = d[9:12].decode() or "closed"
            finally:
                s.close()
        except OSError as e:
            what = type(e).__name__
        with lock:
            count[what] += 1
        if time.monotonic() > stop:
            return
for t in range(8):
    threading.Thread(target=guess, args=(t,), daemon=True).start()
begin = time.monotonic()
while time.monotonic() < stop:
    time.sleep(0.5)
    with lock:
        print(f"{time.monotonic() - begin:.1f} s:", *(f"{k} {v}" for k, v in sorted(count.items())), flush=True)
PY
backup() { # FILE: appends the seconds
	head -c "${MB}000000" /dev/urandom >"$T/tree/a"
	local begin=$EPOCHREALTIME
	fsg backup --job t "$T/tree" >"$T/out" 2>&1 || { sed 's/^/# /' "$T/out"; exit 1; }
	python3 -c "print($EPOCHREALTIME - $begin)" >>"$1"
}
backup "$T/warm"
cpu() { # jiffies of all roles by name, now
	for p in $(server_processes); do
		awk '{ print $2, $14 + $15 + $16 + $17 }' "/proc/$p/stat" 2>/dev/null
	done | awk '{ c[$1] += $2 } END { for (i in c) print i, c[i] }' | sort
}
for _ in $(seq "$RUNS"); do
	backup "$T/without"
	nsenter --net="/run/netns/$F" python3 "$T/guess.py" "$GUIPORT" >"$T/guess.out" 2>&1 &
	guesser=$!
	sleep 2
	backup "$T/with"
	kill "$guesser" && wait "$guesser" 2>/dev/null
	guesser=
	note "guessed: $(tail -n 1 "$T/guess.out")"
	sleep 2
done
cpu | sed 's/^/# processor time, 1\/100 s, of those that live: /'
python3 - "$T/without" "$T/with" <<'PY'
import statistics, sys
a, b = ([float(x) for x in open(p)] for p in sys.argv[1:])
m, n = statistics.median(a), statistics.median(b)
print("without:", *(f"{x:.2f}" for x in a), f"median {m:.2f} s")
print("with:   ", *(f"{x:.2f}" for x in b), f"median {n:.2f} s")
print(f"ratio of the medians: {n / m:.3f}")
PY
