#!/bin/bash
# Discovery through whole servers, each with a configuration, users and keys of its
# own, in network namespaces: three on one subnet find each other by multicast, and by
# the scan alone; a fourth behind a router only when it is named; one that dies turns
# silent; one that comes back with another key is a conflict; two on one machine find
# each other and a third; and what is switched off sends not one packet.
#
#	1  2  3   192.168.81.0/24 --- r --- 192.168.82.0/24   4
. "$(dirname "$0")/lib.sh"

P=sg-peer-$$
NAMES="br 1 2 3 4 r"
INTERVAL=5		# of multicast and scan
SLACK=10		# that the catalogue has beyond three intervals
BUSY=4			# for a machine that has other work
declare -A pid
cap=

end() {
	local n
	for n in $cap; do kill "$n" 2>/dev/null; done
	stop_all
	for n in $NAMES; do ip netns del "$P-$n" 2>/dev/null; done
	finish
}
trap end EXIT

# --- two subnets and a router ---
wire() { # NAMESPACE INTERFACE ADDRESS BRIDGE
	ip -n "$P-br" link add dev "$4$1" type veth peer name "$2" netns "$P-$1" &&
		ip -n "$P-br" link set "$4$1" master "$4" up &&
		ip -n "$P-$1" addr add "$3" dev "$2" &&
		ip -n "$P-$1" link set "$2" up
}
routed() {
	nsenter --net="/run/netns/$P-1" timeout 5 bash -c 'exec 3<>/dev/tcp/192.168.82.4/9' 2>&1 |
		grep -i refused
}
make_net() {
	local n
	for n in $NAMES; do ip netns add "$P-$n" && ip -n "$P-$n" link set lo up || return; done
	for n in neta netb; do
		ip -n "$P-br" link add dev "$n" type bridge mcast_snooping 0 &&
			ip -n "$P-br" link set "$n" up || return
	done
	for n in 1 2 3; do
		wire $n e0 192.168.81.$n/24 neta &&
			ip -n "$P-$n" route add default via 192.168.81.254 || return
	done
	wire 4 e0 192.168.82.4/24 netb && ip -n "$P-4" route add default via 192.168.82.254 &&
		wire r ea 192.168.81.254/24 neta && wire r eb 192.168.82.254/24 netb &&
		nsenter --net="/run/netns/$P-r" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' &&
		routed
}

# --- installations ---
# conf NAME MODE MULTICAST SCAN EXCHANGE [EXTRA]: a new one, with nothing kept
number=0
ready=
conf() {
	number=$((number + 1))
	rm -rf "$T/$1/state" "$T/$1/run"
	mkdir -p "$T/$1"
	chmod 711 "$T/$1"
	cat >"$T/$1/conf" <<EOF2
ID = "$1";
Mode = "$2";
Discovery: { Multicast: { Enabled = $3; Interval = $INTERVAL; };
    UDPScan: { Enabled = $4; Answer = $4; Interval = $INTERVAL; };
    TCP: { Enabled = $5; Interval = 10; }; };
Access: { GUI = ["any"]; };
Users: { Base = $((76000 + number * 100)); };
Paths: { State = "$T/$1/state"; Run = "$T/$1/run"; Programs = "$BUILD"; };
${6:-}
EOF2
}
ctl_of() { local n=$1; shift; timeout 20 "$BUILD/storegridctl" -f "$T/$n/conf" "$@"; }
# launch NAME NAMESPACE: the server itself, no shell around it, is what is killed later
launch() {
	(exec nsenter --net="/run/netns/$P-$2" setsid "$BUILD/storegridd" -f "$T/$1/conf" \
		</dev/null >>"$T/$1/log" 2>&1) &
	pid[$1]=$!
}
wait_up() { # NAME...
	local n end=$((SECONDS + 30))
	for n in "$@"; do
		until ctl_of "$n" status >"$T/$n/status" 2>&1; do
			[ $SECONDS -lt $end ] && kill -0 "${pid[$n]}" || {
				echo "$n did not start: $(cat "$T/$n/status")"
				tail -n 20 "$T/$n/log"
				return 1
			}
			sleep 0.1
		done
	done
	ready=$(date +%s)
}
stop_all() {
	local n
	for n in "${!pid[@]}"; do kill "${pid[$n]}" 2>/dev/null; done
	for n in "${!pid[@]}"; do
		wait_gone "${pid[$n]}" 15 || kill -KILL "${pid[$n]}" 2>/dev/null
		wait "${pid[$n]}" 2>/dev/null
	done
	pid=()
}
kill_master() { # NAME: nobody is told, and all of it goes
	local sid=${pid[$1]}
	[ "$(ps -o pid= -s "$sid" | wc -l)" -gt 5 ] && kill -KILL "$sid" || return
	wait "$sid" 2>/dev/null
	unset "pid[$1]"
	for _ in $(seq 100); do
		[ -z "$(ps -o pid= -s "$sid")" ] && return 0
		sleep 0.05
	done
	ps -s "$sid"
	return 1
}

# --- what they see ---
# has WHO EXPRESSION...: each is true of a row, p, of its list of peers, or of all rows
has() {
	local who=$1
	shift
	ctl_of "$who" --json peer list >"$T/$who/list" 2>/dev/null &&
		python3 - "$T/$who/list" "$@" <<'EOF2'
import json, sys
rows = json.load(open(sys.argv[1]))["peers"]
for e in sys.argv[2:]:
    if not any(eval(e, {"p": p, "rows": rows}) for p in rows or [{}]):
        sys.exit("not so: %s\n%s" % (e, "\n".join(map(str, rows))))
EOF2
}
# within SECONDS COMMAND...
within() {
	local end=$((SECONDS + $1)) n
	shift
	while :; do
		"$@" >"$T/within.out" 2>&1 && return 0
		[ $SECONDS -lt $end ] || break
		sleep 0.3
	done
	cat "$T/within.out"
	for n in "${!pid[@]}"; do
		echo "-- $n"
		ctl_of "$n" peer list
		tail -n 8 "$T/$n/log"
	done
	return 1
}
up() { echo "p['id'] == '$1' and p['state'] == 'up' and p['how'] == '$2' and not p['conflict']"; }
# all_see HOW NAME...: each of the others, up, and first met within one interval
# after the last of them was there
all_see() {
	local how=$1 a b want in_time="p['first_seen'] <= $((ready + INTERVAL))"
	shift
	for a in "$@"; do
		want=()
		for b in "$@"; do [ "$a" = "$b" ] || want+=("$(up "$b" "$how") and $in_time"); done
		has "$a" "${want[@]}" || return 1
	done
}
# apart NAME OTHERS...: it sees nobody, nor do they see it
apart() {
	local far=$1 n
	shift
	has "$far" "rows == []" || return 1
	for n in "$@"; do has "$n" "not any(q['id'] == '$far' for q in rows)" || return 1; done
}
died() { ! grep -E 'seccomp-kill|crashed' "$T"/*/log; }

check "two subnets and a router" make_net || exit 1

# --- multicast, as people have it: with the exchange ---
conf m1 server 1 0 1
conf m2 client 1 0 1
conf m3 both 1 0 1
conf m4 both 1 0 1
for n in 4 1 2 3; do launch m$n $n; done
check "a server, a client, both, and one behind the router start" \
	wait_up m4 m1 m2 m3 || exit 1
check "three find each other by multicast within one interval" \
	within $((INTERVAL + BUSY)) all_see multicast m1 m2 m3
check "each knows the mode and ports of the others" has m3 \
	"p['id'] == 'm1' and p['mode'] == 'server' and p['port_server'] == 32004" \
	"p['id'] == 'm2' and p['mode'] == 'client' and p['port_server'] == 0"
sleep $((2 * INTERVAL))
check "the one behind the router never appears" apart m4 m1 m2 m3
check "it is named" ctl_of m1 peer add 192.168.82.4
check "and is reached" within $((INTERVAL + BUSY)) has m1 "$(up m4 hand)"

m3_fp=$(has m1 && python3 -c '
import json, sys
print([p["fingerprint"] for p in json.load(sys.stdin)["peers"] if p["id"] == "m3"][0])' <"$T/m1/list")
check "one is killed, and all its processes go" kill_master m3
silent="p['id'] == 'm3' and p['state'] == 'silent' and p['fingerprint'] == '$m3_fp'"
both_have() { has m1 "$@" && has m2 "$@"; }
check "it turns silent within three intervals" \
	within $((3 * INTERVAL + SLACK + BUSY)) both_have "$silent"
check "who lives stays up" all_see multicast m1 m2

# --- the same name with another key ---
conf m3 both 1 0 1
launch m3 3
check "it comes back with another key" wait_up m3
other="p['id'] == 'm3' and p['conflict'] and p['fingerprint'] != '$m3_fp'"
check "which is shown as a conflict" within $((INTERVAL + BUSY)) both_have "$other"
check "and the old one stays, silent" both_have "$silent" "$other"
# of two rows the old one is what would be forgotten
told() { ctl_of m1 peer list | tr '\n' ' ' | grep "KEY CHANGED: m3 .*peer forget $m3_fp"; }
check "people are told what to do" told
once() { [ "$(ctl_of m1 peer list | grep -c '^KEY CHANGED')" = 1 ]; }
check "once" once
alerted() { ctl_of m1 alerts | grep "another.* key"; }
check "with an alert" alerted
check "the old one is forgotten" ctl_of m1 peer forget "$m3_fp"
check "and the new one takes its place" within $((INTERVAL + BUSY)) has m1 \
	"p['id'] == 'm3' and p['state'] == 'up' and not p['conflict'] and p['fingerprint'] != '$m3_fp'"
calm() { ! alerted; }
check "and the alert is over" calm
stop_all

# --- the scan alone ---
conf s1 server 0 1 0
conf s2 client 0 1 0
conf s3 both 0 1 0
conf s4 both 0 1 0
for n in 4 1 2 3; do launch s$n $n; done
check "with the scan alone they start" wait_up s4 s1 s2 s3
check "three find each other within one interval" \
	within $((INTERVAL + BUSY)) all_see scan s1 s2 s3
sleep $((INTERVAL + 1))
check "the scan, too, stays on its subnet" apart s4 s1 s2 s3
stop_all

# --- off is off ---
# capture NAME NAMESPACE: what leaves it, into $T/NAME.cap: packets of multicast
# discovery, of the scan, and connections to 32005
capture() {
	(exec nsenter --net="/run/netns/$P-$2" timeout 120 python3 -c '
import signal, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
s.bind(("e0", 3))
n = [0, 0, 0]
def end(*_):
    open(sys.argv[1], "w").write("%d %d %d\n" % tuple(n))
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "w").write("ready\n")
while True:
    p, a = s.recvfrom(65536)
    if a[2] != socket.PACKET_OUTGOING:
        continue
    if p[12:14] == b"\x08\x00":
        proto, o = p[23], 14 + (p[14] & 15) * 4
    elif p[12:14] == b"\x86\xdd":
        proto, o = p[20], 54
    else:
        continue
    ports = struct.unpack("!HH", p[o:o + 4]) if proto in (6, 17) else ()
    if proto == 17:
        n[0] += 6363 in ports or 6364 in ports
        n[1] += 32006 in ports
    elif proto == 6:
        n[2] += ports[1] == 32005 and p[o + 13] & 18 == 2
' "$T/$1.cap") &
	cap="$cap $!"
	for _ in $(seq 100); do grep -qs ready "$T/$1.cap" && return 0; sleep 0.05; done
	return 1
}
# sent NAME EXPRESSION: of m, s and x
sent() { sed 's/^/sent: /' "$T/$1.cap"; read -r m s x <"$T/$1.cap" && [ $(($2)) = 1 ]; }
conf o1 both 0 1 1
conf o2 both 1 0 1
conf o3 both 1 1 0
check "what leaves each is captured" \
	eval 'capture o1 1 && capture o2 2 && capture o3 3'
for n in 1 2 3; do launch o$n $n; done
check "three start, each with another part off" wait_up o1 o2 o3
# 1 and 2 have no way in common, and 3 tells nobody
apart_too() { has o1 "not any(q['id'] == 'o2' for q in rows)"; }
met() {
	has o1 "$(up o3 scan)" && has o2 "$(up o3 multicast)" && has o3 "$(up o1 scan)" &&
		has o3 "$(up o2 multicast)"
}
check "by what is on they meet" within $((INTERVAL + BUSY)) met
check "and who has no way in common does not" apart_too
sleep 12
for n in $cap; do kill "$n"; wait "$n" 2>/dev/null; done
cap=
check "multicast off: not one packet, while the scan and the exchange send" \
	sent o1 'm == 0 && s > 0 && x > 0'
check "scan off: not one packet, while multicast and the exchange send" \
	sent o2 's == 0 && m > 0 && x > 0'
check "exchange off: not one connection, while multicast and the scan send" \
	sent o3 'x == 0 && m > 0 && s > 0'
stop_all

# --- two on one machine ---
conf h1 server 1 0 1
conf h2 both 1 0 1 'Ports: { Server = 33004; SSLServer = 33007; GUI = 33005; };'
conf h3 client 1 0 1
launch h1 1; launch h2 1; launch h3 2
check "two on one machine and a third start" wait_up h1 h2 h3
check "all find each other" within $((INTERVAL + BUSY)) all_see multicast h1 h2 h3
at="p['address'] == '192.168.81.1'"
one="p['id'] == 'h1' and $at and p['port_gui'] == 32005 and p['port_server'] == 32004"
two="p['id'] == 'h2' and $at and p['port_gui'] == 33005 and p['port_server'] == 33004"
check "with the ports of each" eval 'has h3 "$one" "$two" && has h1 "$two" && has h2 "$one"'
stop_all
check "nothing died" died
