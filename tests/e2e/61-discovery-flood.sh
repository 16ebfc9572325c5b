#!/bin/bash
# 100,000 packets of each kind of junk a second: cheap (doc/BENCHMARKS.md has the
# figures; the limit here has room for a busy machine), 95 % of 50 honest peers are
# answered, two installations that start meanwhile find each other within three
# intervals, and what leaves is at most half of what came.
#
# FLOOD (1000000): packets of each kind.  CPU (35): percent of a core; the aim is 20.
. "$(dirname "$0")/lib.sh"
DRIVE=$BUILD/tests/fault/discover_drive
FLOODER=$BUILD/tests/fault/discovery_flood
DISCOVER=$BUILD/sg-discover
FLOOD=${FLOOD:-1000000}
CPU=${CPU:-35}
P=sg-dfl-$$
NAMES="br 1 2 3 4"

end() {
	for n in $NAMES; do ip netns del "$P-$n" 2>/dev/null; done
	finish
}
trap end EXIT
make_net() {
	local n
	for n in $NAMES; do ip netns add "$P-$n" && ip -n "$P-$n" link set lo up || return; done
	ip -n "$P-br" link add dev neta type bridge mcast_snooping 0 && ip -n "$P-br" link set neta up || return
	for n in 1 2 3 4; do
		ip -n "$P-br" link add dev "neta$n" type veth peer name e0 netns "$P-$n" &&
			ip -n "$P-br" link set "neta$n" master neta up &&
			ip -n "$P-$n" addr add 192.168.71.$n/24 dev e0 &&
			ip -n "$P-$n" link set e0 up || return
	done
}
check "four machines on a wire" make_net
in_n() { local n=$1; shift; nsenter --net="/run/netns/$P-$n" "$@"; }
count() { ip -n "$P-1" -j -s link show e0 | python3 -c \
	"import json,sys; print(json.load(sys.stdin)[0]['stats64']['$1']['bytes'])"; }

ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }

seconds=$((FLOOD / 100000 + 5))
for kind in random forged solved replay cut long mix; do
	rx=$(count rx) tx=$(count tx)
	in_n 1 "$DRIVE" "$DISCOVER" mcast one $seconds 5 </dev/null >"$T/one" 2>&1 &
	sleep 1
	# of sg-discover alone, and while the flood lasts: ticks of a hundredth
	pid=$(awk '$1 == "pid" { print $2 }' "$T/one")
	{
		before=$(ticks) began=$(date +%s%N)
		in_n 3 "$FLOODER" 192.168.71.3 e0 6363 $kind "$FLOOD" 100000 >"$T/flood"
		echo "cpu $(($(ticks) - before)) $((($(date +%s%N) - began) / 10000000))" >"$T/cpu"
	} &
	sleep 0.5
	in_n 2 "$DRIVE" "$DISCOVER" mcast two $((seconds - 2)) 5 </dev/null >"$T/two" 2>&1 &
	in_n 4 "$FLOODER" 192.168.71.4 e0 6363 peers 50 10 >"$T/peers"
	wait
	note "$kind: $(tail -n 1 "$T/flood"), $(head -n 1 "$T/peers"), $(cat "$T/cpu")"
	answered() { awk '$1 == "answered" { f = $2 * 100 >= $4 * 95 } END { exit !f }' "$T/peers"; }
	check "$kind: 95 % of 50 honest peers are answered" answered
	sees() { awk -v id="$2" '$1 == "seen" && $5 == id && $2 <= 15000 { f = 1 } END { exit !f }' "$T/$1"; }
	found() { sees two one && sees one two; }
	check "$kind: one that starts meanwhile finds and is found" found
	cheap() { awk -v c="$CPU" '$1 == "cpu" { f = $2 * 100 <= $3 * c } END { exit !f }' "$T/cpu"; }
	check "$kind: it costs at most $CPU % of a core" cheap
	unknown() { ! grep ' flood ' "$T/one" | sed -n '2,$p' | grep -q . || [ $kind = replay ] || [ $kind = mix ]; }
	check "$kind: nothing forged is noted" unknown
	rx=$(($(count rx) - rx)) tx=$(($(count tx) - tx))
	half() { echo "in $rx, out $tx"; [ $((tx * 2)) -le $rx ]; }
	check "$kind: what left is at most half of what came" half
done
