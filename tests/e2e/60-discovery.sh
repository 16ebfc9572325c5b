#!/bin/bash
# Discovery by UDP, each process started as its master starts it: three machines on
# one subnet find each other within one interval by multicast, and by the scan alone;
# two installations on one machine find each other and a third; one behind a router
# never appears; an interface with a public address only carries not one packet; an
# interface that comes later is used. In network namespaces of its own.
. "$(dirname "$0")/lib.sh"
DRIVE=$BUILD/tests/fault/discover_drive
DISCOVER=$BUILD/sg-discover
P=sg-disc-$$
NAMES="br 1 2 3 4 r"

end() {
	for n in $NAMES; do ip netns del "$P-$n" 2>/dev/null; done
	finish
}
trap end EXIT

wire() { # NAMESPACE INTERFACE ADDRESS BRIDGE
	ip -n "$P-br" link add dev "$4$1" type veth peer name "$2" netns "$P-$1" &&
		ip -n "$P-br" link set "$4$1" master "$4" up &&
		ip -n "$P-$1" addr add "$3" dev "$2" &&
		ip -n "$P-$1" link set "$2" up
}
# the far machine itself says that nobody listens there
routed() {
	nsenter --net="/run/netns/$P-1" timeout 5 bash -c 'exec 3<>/dev/tcp/192.168.72.4/9' 2>&1 |
		grep -i refused
}
# two subnets, a and b, with a router between; 1 to 3 on a, 4 on b
make_net() {
	local n
	for n in $NAMES; do ip netns add "$P-$n" && ip -n "$P-$n" link set lo up || return; done
	for n in neta netb; do
		ip -n "$P-br" link add dev "$n" type bridge mcast_snooping 0 &&
			ip -n "$P-br" link set "$n" up || return
	done
	for n in 1 2 3; do
		wire $n e0 192.168.71.$n/24 neta &&
			ip -n "$P-$n" route add default via 192.168.71.254 || return
	done
	wire 4 e0 192.168.72.4/24 netb && ip -n "$P-4" route add default via 192.168.72.254 &&
		wire r ea 192.168.71.254/24 neta && wire r eb 192.168.72.254/24 netb &&
		nsenter --net="/run/netns/$P-r" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' &&
		routed
}
check "two subnets and a router" make_net

# run NAMESPACE ID ROLE SECONDS [PORT]: in the background, into $T/ID
run() {
	nsenter --net="/run/netns/$P-$1" "$DRIVE" "$DISCOVER" "$3" "$2" "$4" 5 ${5:-} \
		</dev/null >"$T/$2" 2>&1 &
}
# sees WHO WHOM WITHIN-MS: and by its IPv4 address
sees() { awk -v id="$2" -v ms="$3" '$1 == "seen" && $5 == id && $2 <= ms && $4 ~ /^192/ { f = 1 }
	END { exit !f }' "$T/$1"; }
all_see() {
	local a b
	for a in $1; do for b in $1; do
		[ "$a" = "$b" ] || sees "$a" "$b" 5000 || { echo "$a does not see $b"; cat "$T/$a"; return 1; }
	done; done
}
nobody_sees() { ! grep -l "seen .* $1 " $(for n in $2; do echo "$T/$n"; done); }

run 1 m1 mcast 7; run 2 m2 mcast 7; run 3 m3 mcast 7; run 4 m4 mcast 7
wait
check "three find each other by multicast within one interval" all_see "m1 m2 m3"
check "one on another subnet never appears" nobody_sees m4 "m1 m2 m3"
check "and sees nobody" nobody_sees 'm.' m4

run 1 s1 scan 7; run 2 s2 scan 7; run 3 s3 scan 7; run 4 s4 scan 7
wait
check "three find each other by the scan within one interval" all_see "s1 s2 s3"
check "the scan, too, stays on its subnet" nobody_sees s4 "s1 s2 s3"

run 1 h1 mcast 7; run 1 h2 mcast 7; run 2 h3 mcast 7
wait
check "two on one machine find each other and a third" all_see "h1 h2 h3"

# public addresses only: nothing is sent
ip -n "$P-3" addr del 192.168.71.3/24 dev e0
ip -n "$P-3" addr add 198.51.100.3/24 dev e0
ip -n "$P-3" -6 addr add 2001:db8::3/64 dev e0 nodad
nsenter --net="/run/netns/$P-3" timeout 6 tcpdump -ni e0 -w "$T/cap" \
	'udp and (port 6363 or port 6364)' 2>"$T/tcpdump" &
sleep 1
run 3 p3 mcast 4
wait
check "a public interface is named" grep -q 'public addresses only' "$T/p3"
nobody() { [ "$(tcpdump -nr "$T/cap" 2>/dev/null | wc -l)" = 0 ]; }
check "and carries not one packet" nobody

# and then a private one comes
run 1 c1 mcast 8; run 3 c3 mcast 8
sleep 2
ip -n "$P-3" addr add 192.168.71.3/24 dev e0
wait
c_sees() { sees c1 c3 8000 && sees c3 c1 8000; }
check "an address that comes is used at once" c_sees
died() { ! grep -E 'ended with|is gone' "$T"/[mshpc][1-4]; }
check "nothing died" died
