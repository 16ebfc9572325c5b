#!/bin/bash
# The port page behind a router with NAT, in network namespaces: a server of which
# only 32004 is forwarded, a client behind NAT, and a client that uses 32007 alone.
#
#	S 10.99.1.2 --- 10.99.1.1 R 203.0.113.1 --- 203.0.113.2 C
. "$(dirname "$0")/lib.sh"

PORT=32004 SSLPORT=32007 GUIPORT=32005
S=sgS$$ R=sgR$$ C=sgC$$
captures=
unmake() {
	local p
	for p in $captures; do kill "$p" 2>/dev/null; done
	stop_server
	ip netns del "$S" 2>/dev/null
	ip netns del "$R" 2>/dev/null
	ip netns del "$C" 2>/dev/null
	finish
}
trap unmake EXIT
in_ns() { local n=$1; shift; nsenter --net="/run/netns/$n" "$@"; }
make_net() {
	local n
	for n in "$S" "$R" "$C"; do
		ip netns add "$n" && ip -n "$n" link set lo up || return 1
	done
	ip -n "$S" link add eth0 type veth peer name in0 netns "$R" &&
		ip -n "$R" link add out0 type veth peer name eth0 netns "$C" &&
		ip -n "$S" addr add 10.99.1.2/24 dev eth0 &&
		ip -n "$R" addr add 10.99.1.1/24 dev in0 &&
		ip -n "$R" addr add 203.0.113.1/24 dev out0 &&
		ip -n "$C" addr add 203.0.113.2/24 dev eth0 &&
		ip -n "$S" link set eth0 up && ip -n "$R" link set in0 up &&
		ip -n "$R" link set out0 up && ip -n "$C" link set eth0 up &&
		ip -n "$S" route add default via 10.99.1.1 &&
		in_ns "$R" sysctl -qw net.ipv4.ip_forward=1
}
# nat PORT...: these are forwarded to S, all that goes out is masqueraded, and what
# is not forwarded is dropped, as a router does
nat() {
	local p
	{
		echo "flush ruleset; table ip sg {"
		echo "chain pre { type nat hook prerouting priority dstnat;"
		for p in "$@"; do
			echo "iifname out0 tcp dport $p dnat to 10.99.1.2"
		done
		echo "}; chain post { type nat hook postrouting priority srcnat;"
		echo "oifname out0 masquerade; };"
		echo "chain in { type filter hook input priority 0;"
		echo "iifname out0 ct state established,related accept"
		echo "iifname out0 drop; }; }"
	} | in_ns "$R" nft -f -
}
# capture NAME NS FILTER: count packets in the background; captured NAME says how many
capture() {
	nsenter --net="/run/netns/$2" timeout 300 python3 -c '
import signal, socket, struct, sys
port, out = int(sys.argv[1]), sys.argv[2]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
n = 0
def end(*_):
    open(out, "w").write(str(n))
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open(out, "w").write("ready")
while True:
    p = s.recv(65536)
    if len(p) > 34 and p[12:14] == b"\x08\x00" and p[23] in (6, 17):
        o = 14 + (p[14] & 15) * 4
        if port in struct.unpack("!HH", p[o:o + 4]):
            n += 1
' "$3" "$T/cap.$1" &
	captures="$captures $!"
	eval "cap_$1=$!"
	for _ in $(seq 50); do [ -s "$T/cap.$1" ] && break; sleep 0.1; done
}
captured() {
	eval "kill \$cap_$1" 2>/dev/null
	for _ in $(seq 50); do
		[ "$(cat "$T/cap.$1")" != ready ] && break
		sleep 0.1
	done
	cat "$T/cap.$1"
}

check "three namespaces and two wires" make_net || exit 1
write_net() { # MODE ADVERTISE [EXTRA]
	cat >"$CONF" <<EOF2
ID = "inside";
Mode = "$1";
Listen: { Server = ["10.99.1.2"]; GUI = ["10.99.1.2"]; };
Access: { GUI = ["any"]; };
Discovery: { Multicast: { Enabled = 0; }; };
Paths: { State = "$T/state"; Run = "$T/run"; Programs = "$BUILD"; };
Advertise = "$2";
${3:-}
EOF2
}
mkdir "$T/tree"
head -c 3000000 /dev/urandom >"$T/tree/a"
date >"$T/tree/b"
csg() { STOREGRID_HOME=$T/c1 timeout 60 nsenter --net="/run/netns/$C" "$BUILD/storegrid" "$@"; }
client() { # NAME
	rm -rf "$T/c1"
	mkdir "$T/c1" && printf 'Paths: { Programs = "%s"; };\n%s\n' "$BUILD" "${2:-}" \
		>"$T/c1/SGConfiguration.conf" &&
		ctl client add "acme/$1" >"$T/$1.token" 2>/dev/null &&
		csg enrol --token-file "$T/$1.token"
}
there_and_back() { # NAME
	csg backup --job t "$T/tree" && mkdir "$T/$1" &&
		csg restore latest --to "$T/$1" && diff -r "$T/tree" "$T/$1$T/tree"
}

# --- a server behind NAT, 32004 forwarded and nothing else ---
check "a router forwards 32004 alone" nat 32004
write_net server 203.0.113.1
check "the server starts" start_server nsenter --net="/run/netns/$S" || exit 1
ctl account add acme >/dev/null
check "a client outside enrols" client outside
check "backs up and restores" there_and_back r1
check_exit "doctor finds nothing that stops a backup" 0 csg doctor
check_says "and names 32005 as the loss" '32005.*(filtered|closed)'
check_says "and what it costs" 'backup'
lost() { # PORTS THAT ARE LOST, of those that are on
	csg doctor --json >"$T/doctor.json"
	python3 - "$T/doctor.json" "$@" <<'EOF2'
import json, sys
want = {x for x in sys.argv[2:]}
lost = set()
for l in open(sys.argv[1]):
    o = json.loads(l)
    # the console is not there yet, whatever the way
    if o.get("check") in ("port Server", "port GUI") and o["level"] != "ok":
        lost.add(o["check"])
print(lost, want)
sys.exit(lost != want)
EOF2
}
check "32005 is the one loss" lost "port GUI"
check "with 32005 forwarded" nat 32004 32005
check "nothing is lost" lost
stop_server

# --- SSL.Enabled = 1 on both sides: 32007 alone ---
check "a router forwards 32007 alone" nat 32007
write_net server 203.0.113.1 'SSL: { Enabled = 1; };'
check "the server starts" start_server nsenter --net="/run/netns/$S" || exit 1
capture p32004 "$R" 32004
capture p32007 "$R" 32007
check "a client with SSL.Enabled enrols" client ssl 'SSL: { Enabled = 1; };'
check "backs up and restores over 32007" there_and_back r2
n=$(captured p32007)
[ "$n" -gt 10 ] && ok "its packets go to 32007" || not_ok "its packets go to 32007 ($n)"
n=$(captured p32004)
[ "$n" = 0 ] && ok "and not one to 32004" || not_ok "and not one to 32004 ($n)"
stop_server

# --- a client behind NAT: the server is outside, the same daemon in mode client ---
check "a router forwards nothing" nat
rm -rf "$T/state" "$T/run"
write_net client 10.99.1.2 'Switch: { AllowFrom = []; };'
mv "$CONF" "$T/inside.conf"
sed -e 's/10\.99\.1\.2/203.0.113.2/g; s/"inside"/"outside"/; s/"client"/"server"/' \
	-e "s,$T/state,$T/state2,; s,$T/run,$T/run2," "$T/inside.conf" >"$CONF"
check "a server outside starts" start_server nsenter --net="/run/netns/$C" || exit 1
outside=$server_pid
octl() { "$BUILD/storegridctl" -f "$CONF" "$@"; }
fp=$(octl status --json | python3 -c 'import json,sys; print(json.load(sys.stdin).get("fingerprint", ""))')
[ -n "$fp" ] && ok "it shows its fingerprint" || not_ok "it shows its fingerprint"
octl account add acme >/dev/null
octl client add acme/inside >"$T/inside.token" 2>/dev/null
isg() { STOREGRID_HOME=$T/c1 timeout 60 nsenter --net="/run/netns/$S" "$BUILD/storegrid" "$@"; }
inside_client() {
	rm -rf "$T/c1"
	mkdir "$T/c1" && printf 'Paths: { Programs = "%s"; };\n' "$BUILD" \
		>"$T/c1/SGConfiguration.conf" && isg enrol --token-file "$T/inside.token" &&
		isg backup --job t "$T/tree" && mkdir "$T/r3" &&
		isg restore latest --to "$T/r3" && diff -r "$T/tree" "$T/r3$T/tree"
}
check "a client behind NAT enrols, backs up and restores" inside_client
setsid nsenter --net="/run/netns/$S" "$BUILD/storegridd" -f "$T/inside.conf" \
	</dev/null >>"$T/inside.log" 2>&1 &
inside=$!
ictl() { "$BUILD/storegridctl" -f "$T/inside.conf" "$@"; }
for _ in $(seq 100); do ictl status >/dev/null 2>&1 && break; sleep 0.1; done
check "an installation in mode client starts" ictl status
ictl ports >"$T/check.out" 2>&1
check_says "it opens 32005" '32005.*open'
check "and not 32004" sh -c "! grep -E '32004.*open' '$T/check.out'"
# From a public address only who was entered by hand may ask.
own=$(ictl status --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["fingerprint"])')
ictl peer add 203.0.113.2 --fingerprint "$fp" >/dev/null
asked() { # PATTERN: a peer may be asked every ten seconds
	for _ in $(seq 45); do
		ictl ports --from "$fp" >"$T/check.out" 2>&1
		grep -qE -- "$1" "$T/check.out" && return
		sleep 1
	done
}
asked 'peer add'
check_says "a server that does not know it says what to do there" 'peer add .*--fingerprint'
check "the server is told of it by hand" octl peer add 203.0.113.1 --fingerprint "$own"
check "it knows the server by hand" ictl peer add 203.0.113.2 --fingerprint "$fp"
asked '32005.*(filtered|closed)'
check_says "the server cannot reach its 32005 through the NAT" '32005.*(filtered|closed)'
check_says "which costs no backup" 'backup'
kill "$inside" 2>/dev/null
wait_gone "$inside" 15 || kill -KILL "$inside" 2>/dev/null
server_pid=$outside
