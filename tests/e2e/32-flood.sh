#!/bin/bash
# 4,000 connections that say nothing, from 1,000 addresses in four networks, then in
# a thousand: a client from elsewhere still logs in within a second, one from a
# flooded network is told to try later. In network namespaces of its own.
#
# LOGINS (20): tries of the client from elsewhere.
. "$(dirname "$0")/lib.sh"
HOSTILE=${HOSTILE:-$BUILD/tests/fault/hostile}
LOGINS=${LOGINS:-20}
chmod 711 "$T"

S=sg-server-$$
F=sg-flood-$$
flood=
end() {
	[ -z "$flood" ] || kill "$flood" 2>/dev/null
	stop_server
	ip netns del "$S" 2>/dev/null
	ip netns del "$F" 2>/dev/null
	finish
}
trap end EXIT
in_s() { nsenter --net="/run/netns/$S" "$@"; }
in_f() { nsenter --net="/run/netns/$F" "$@"; }

# One wire between the two; all of 10.0.0.0/8 lives at the flooder's end of it.
make_net() {
	ip netns add "$S" && ip netns add "$F" &&
		ip -n "$S" link add sg0 type veth peer name sg1 netns "$F" &&
		ip -n "$S" link set lo up && ip -n "$F" link set lo up &&
		ip -n "$S" addr add 192.0.2.1/30 dev sg0 &&
		ip -n "$F" addr add 192.0.2.2/30 dev sg1 &&
		ip -n "$S" link set sg0 up && ip -n "$F" link set sg1 up &&
		ip -n "$S" route add 10.0.0.0/8 via 192.0.2.2 &&
		ip -n "$F" route add local 10.0.0.0/8 dev lo
}
check "two namespaces and a wire" make_net

cat >"$CONF" <<EOF2
ID = "flooded";
Ports: { Server = $PORT; SSLServer = $SSLPORT; };
Listen: { Server = ["192.0.2.1"]; GUI = ["127.0.0.1"]; };
Discovery: { $DISCOVERY };
Paths: { State = "$T/state"; Run = "$T/run"; Programs = "$BUILD"; };
Advertise = "192.0.2.1";
EOF2
start_server nsenter --net="/run/netns/$S" || { not_ok "the server starts"; exit 1; }

h() { timeout 300 nsenter --net="/run/netns/$F" "$HOSTILE" -h 192.0.2.1 -p "$PORT" "$@"; }
fsg() { STOREGRID_HOME=$T/c1 timeout 60 nsenter --net="/run/netns/$F" "$BUILD/storegrid" "$@"; }
enrol_client() {
	ctl account add acme && mkdir "$T/c1" &&
		echo "Paths: { Programs = \"$BUILD\"; };" >"$T/c1/SGConfiguration.conf" &&
		ctl client add acme/c1 >"$T/c1.token" 2>/dev/null &&
		fsg enrol --token-file "$T/c1.token"
}
check "a client is enrolled" enrol_client
ctl client add acme/c2 >"$T/c2.token" 2>/dev/null
check "and another" h -t "$T/c2.token" enrol "$T/c2.key"
mkdir "$T/tree"
date >"$T/tree/file"
check "it backs up before" fsg backup --job j "$T/tree"

# start_flood LIST: returns when all 4,000 were tried
start_flood() {
	# no function: what is killed has to be the flood, not a shell around it
	timeout 300 nsenter --net="/run/netns/$F" "$HOSTILE" -h 192.0.2.1 \
		-p "$PORT" silent 4000 "$1" 600 >"$T/flood.out" 2>&1 &
	flood=$!
	for _ in $(seq 600); do
		grep -q 'silent: .* open' "$T/flood.out" && break
		sleep 0.1
	done
	sed 's/^/# /' "$T/flood.out"
}
end_flood() {
	kill "$flood" 2>/dev/null
	wait "$flood" 2>/dev/null
	flood=
}
elsewhere() {
	check "$1: a client from elsewhere logs in within a second" \
		h -k "$T/c2.key" login-loop "$LOGINS"
	sed 's/^/# /' "$T/check.out"
	date >>"$T/tree/file"
	check "$1: and a real one backs up" fsg backup --job j "$T/tree"
}

# --- four networks ---
for n in 1 2 3 4; do
	for i in $(seq 250); do echo "10.1.$n.$i"; done
done >"$T/four"
start_flood "$T/four"
elsewhere "four flooded networks"
h -b 10.1.2.251 -k "$T/c2.key" login >"$T/check.out" 2>&1
check_says "from a flooded network: the refusal comes in clear text" \
	'login: ERROR LATER'
in_log "which the log tells" 'conn-refused addr=10\.1\..*reason=per-network'
# the real client, from an address of a flooded network
ip -n "$F" route replace 192.0.2.0/30 dev sg1 src 10.1.3.252
start=$SECONDS
check_exit "from a flooded network: exit 75" 75 fsg backup --job j "$T/tree"
check_says "with the reason" 'busy, try again later'
if [ $((SECONDS - start)) -le 5 ]; then
	ok "at once"
else
	not_ok "at once ($((SECONDS - start)) s)"
fi
ip -n "$F" route replace 192.0.2.0/30 dev sg1 src 192.0.2.2
end_flood

# --- a thousand networks ---
for i in $(seq 0 999); do
	echo "10.$((16 + i / 250)).$((i % 250)).1"
done >"$T/thousand"
start_flood "$T/thousand"
elsewhere "a thousand flooded networks"
end_flood

# --- and then ---
check "afterwards it backs up" fsg backup --job j "$T/tree"
mkdir "$T/out"
check "and restores" fsg restore latest --to "$T/out"
check "what it had" same_tree "$T/tree" "$T/out$T/tree"
if grep -E '(crash|seccomp-kill|role-killed|role-exit) ' "$T/server.log" >"$T/check.out"; then
	not_ok "nothing crashed"
	sed 's/^/# /' "$T/check.out" | head -n 20
else
	ok "nothing crashed"
fi
lines=$(wc -l <"$T/server.log")
if [ "$lines" -lt 5000 ]; then
	ok "the log did not grow with the flood ($lines lines)"
else
	not_ok "the log did not grow with the flood ($lines lines)"
fi
