#!/bin/bash
# TCP exchange alone, multicast and scan off, in network namespaces: A knows B by
# hand and B knows C by hand, so A learns C and reaches it; a dead one turns silent
# within three intervals (and the 10 s that the catalog allows beyond them); ports as
# another sees them; and off is really off: not one TCP packet to 32005.
. "$(dirname "$0")/lib.sh"

P=sgx$$
INTERVAL=10
declare -A pid

end() {
	local n
	for n in a b c; do kill_one $n; done
	for n in br a b c; do ip netns del "$P-$n" 2>/dev/null; done
	finish
}
trap end EXIT
in_ns() { local n=$1; shift; nsenter --net="/run/netns/$P-$n" "$@"; }
kill_one() {
	[ -n "${pid[$1]:-}" ] || return 0
	kill "${pid[$1]}" 2>/dev/null
	wait_gone "${pid[$1]}" 15 || kill -KILL "${pid[$1]}" 2>/dev/null
	wait "${pid[$1]}" 2>/dev/null
	pid[$1]=
}
make_net() {
	local n i=0
	ip netns add "$P-br" && ip -n "$P-br" link add dev net type bridge &&
		ip -n "$P-br" link set net up || return
	for n in a b c; do
		i=$((i + 1))
		ip netns add "$P-$n" && ip -n "$P-$n" link set lo up &&
			ip -n "$P-br" link add dev "v$n" type veth peer name e0 netns "$P-$n" &&
			ip -n "$P-br" link set "v$n" master net up &&
			ip -n "$P-$n" addr add 10.77.0.$i/24 dev e0 &&
			ip -n "$P-$n" link set e0 up || return
	done
}
# conf NAME EXCHANGE
conf() {
	mkdir -p "$T/$1"
	chmod 711 "$T/$1"
	cat >"$T/$1/conf" <<EOF
ID = "host-$1";
Discovery: { Multicast: { Enabled = 0; }; UDPScan: { Enabled = 0; };
    TCP: { Enabled = $2; Interval = $INTERVAL; }; };
Access: { GUI = ["any"]; };
Paths: { State = "$T/$1/state"; Run = "$T/$1/run"; Programs = "$BUILD"; };
EOF
}
ctl_of() { local n=$1; shift; in_ns "$n" "$BUILD/storegridctl" -f "$T/$n/conf" "$@"; }
start_one() {
	# the server itself, not a shell around it, is what is killed later
	(exec nsenter --net="/run/netns/$P-$1" setsid "$BUILD/storegridd" -f "$T/$1/conf" \
		</dev/null >>"$T/$1/log" 2>&1) &
	pid[$1]=$!
	for _ in $(seq 150); do
		ctl_of "$1" status >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	tail -n 20 "$T/$1/log"
	return 1
}
# peer_is WHO WHOM STATE HOW: right now
peer_is() {
	ctl_of "$1" --json peer list | python3 -c '
import json, sys
whom, state, how = sys.argv[1:]
text = sys.stdin.read()
sys.exit(not any(p["id"] == whom and p["state"] == state and p["how"] == how and not p["conflict"]
    for p in json.loads(text)["peers"]))' "host-$2" "$3" "$4"
}
# becomes SECONDS WHO WHOM STATE HOW
becomes() {
	local end=$((SECONDS + $1))
	shift
	while [ $SECONDS -lt $end ]; do
		peer_is "$@" 2>/dev/null && return 0
		sleep 0.5
	done
	ctl_of "$1" --json peer list
	for n in a b c; do echo "-- $n"; tail -n 12 "$T/$n/log"; done
	return 1
}

check "three on one subnet" make_net || exit 1
for n in a b c; do conf $n 1; done
check "they start" eval 'start_one a && start_one b && start_one c' || exit 1
check "B is told of C by hand" ctl_of b peer add 10.77.0.3
check "B reaches C" becomes $((2 * INTERVAL)) b c up hand
check "A is told of B by hand" ctl_of a peer add 10.77.0.2
check "A reaches B" becomes $((2 * INTERVAL)) a b up hand
check "A learns C from B and reaches it" becomes $((4 * INTERVAL)) a c up exchange

check "A asks B which of its ports it reaches" ctl_of a ports --from host-b
cp "$T/check.out" "$T/ports"
check "one that is open is told" grep -qE '32005.*open' "$T/ports"

kill -KILL "${pid[c]}"
wait "${pid[c]}" 2>/dev/null
pid[c]=
dead=$SECONDS
check "a dead one turns silent at B" becomes $((3 * INTERVAL + 15)) b c silent hand
check "and at A" becomes $((3 * INTERVAL + 15 - (SECONDS - dead) + INTERVAL)) a c silent exchange
check "who lives stays up" peer_is a b up hand

for n in a b; do kill_one $n; conf $n 0; done
(exec nsenter --net="/run/netns/$P-b" timeout 120 tcpdump -nni e0 -U -w "$T/cap" 'tcp port 32005' \
	2>"$T/tcpdump") &
cap=$!
sleep 1
check "A and B start with the exchange off" eval 'start_one a && start_one b'
sleep $((2 * INTERVAL + 5))
kill "$cap" 2>/dev/null
wait "$cap" 2>/dev/null
nobody() { [ -s "$T/cap" ] && [ "$(tcpdump -nr "$T/cap" 2>/dev/null | wc -l)" = 0 ]; }
check "off: not one packet to 32005 in two intervals" nobody
died() { ! grep -E 'seccomp-kill|crashed' "$T"/[ab]/log; }
check "nothing died" died
