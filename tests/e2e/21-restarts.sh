#!/bin/bash
# Processes end, one after the other, and the server goes on; all that it hands out
# comes back; it reloads, drains, and leaves nothing behind.
. "$(dirname "$0")/lib.sh"

extra='Limits: { Exempt = ["127.0.0.0/8"]; };
Pool: { SessionMin = 4; };'
# a discovery role that answers, and sends nothing by itself
DISCOVERY='Multicast: { Enabled = 0; }; TCP: { Enabled = 0; }; UDPScan: { Answer = 1; };'
write_conf "$extra"
start_server || { not_ok "the server starts"; exit 1; }

# pids ROLE: what status says, those without a connection first
pids() {
	ctl status --json 2>/dev/null | python3 -c '
import json, sys
p = [p for p in json.load(sys.stdin)["processes"] if p["role"] == sys.argv[1]]
for p in sorted(p, key=lambda p: "connection" in p):
    print(p["pid"])' "$1" 2>/dev/null
}
# until_ok SECONDS COMMAND...: again and again until it succeeds
until_ok() {
	local end=$((SECONDS + $1))
	shift
	while ! "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}
backup() {
	date +%s.%N >"$T/src/changing"
	sg c1 backup --job t "$T/src"
}

mkdir -p "$T/src"
head -c 2000000 /dev/urandom >"$T/src/data"
check "a client is enrolled" new_client c1
check "and backs up" backup

# --- each process in turn ---
other_pid() { # ROLE PID: status has the role, under another pid
	local now
	now=$(pids "$1")
	[ -n "$now" ] && ! grep -qx "$2" <<<"$now"
}
enough_sessions() { [ "$(pids session | wc -l)" -ge 4 ]; }
for role in logger keyd auth login catalog scan dialer listener session store; do
	if [ "$role" = store ]; then
		check "a backup before" backup
	fi
	pid=$(pids "$role" | head -n 1)
	if [ -z "$pid" ]; then
		not_ok "there is a $role to kill"
		continue
	fi
	kill -KILL "$pid"
	if [ "$role" = store ]; then
		# nobody wants it just now: the next client brings a new one
		check "a killed store leaves status" until_ok 5 wait_gone "$pid" 1
		check "a backup after the death of store" backup
		check "which has a new store" other_pid store "$pid"
		continue
	fi
	check "a killed $role is replaced" until_ok 10 other_pid "$role" "$pid"
	check "a backup after the death of $role" until_ok 5 backup
done
check "the pool of sessions is full again" until_ok 10 enough_sessions
check "a killed store and all others are in the log" \
	test "$(grep -cE 'role-killed .*role=(logger|keyd|auth|listener|session|store)' \
	"$T/server.log")" -ge 5
mkdir "$T/out"
check "a restore after all that" sg c1 restore latest --to "$T/out"
check "gives back what was there" same_tree "$T/src" "$T/out$T/src"

# --- the logger dies under a backup ---
# The engine stands still meanwhile, so that the run is surely under way.
held=
held_engine=
held_session=
engine_of() { # COMMAND'S PID
	local p
	for p in $(pgrep -P "$1"); do
		[ "$(readlink "/proc/$p/exe")" = "$BUILD/sg-engine" ] && echo "$p"
	done
}
hold() { # CLIENT: a backup of it is stopped after its log-in
	local mark line
	mark=$(wc -l <"$T/server.log")
	STOREGRID_HOME=$T/$1 "$BUILD/storegrid" backup --job held "$T/src" \
		>"$T/held.out" 2>&1 &
	held=$!
	for _ in $(seq 500); do
		line=$(tail -n +$((mark + 1)) "$T/server.log" |
			grep "role=session .*acme/$1: logged in") && break
		kill -0 "$held" 2>/dev/null || return 1
		sleep 0.01
	done
	held_engine=$(engine_of "$held")
	held_session=$(sed -n 's/.* role=session pid=\([0-9]*\) .*/\1/p' <<<"$line")
	[ -n "$held_engine" ] && [ -n "$held_session" ] && kill -STOP "$held_engine" &&
		kill -0 "$held_session"
}
head -c 120000000 /dev/urandom >"$T/src/large"
check "a backup is under way" hold c1
pid=$(pids logger)
[ -n "$pid" ] && kill -KILL "$pid"
check "the logger is replaced under it" until_ok 10 other_pid logger "${pid:-0}"
kill -CONT "${held_engine:-$$}"
wait "$held"
check "and that backup succeeds" test $? = 0
rm "$T/src/large"

# --- nothing is lost by handing out ---
fds() {
	local r p n
	for r in master listener auth keyd logger; do
		p=$(pids $r)
		n=$(ls "/proc/$p/fd" 2>/dev/null | wc -l)
		printf '%s %s\n' "$r" "$n"
	done
}
fds_no_more() {
	fds >"$T/fds.after"
	awk 'NR == FNR { n[$1] = $2; next }
	    $2 > n[$1] || $2 == 0 { print $1, n[$1], "then", $2; bad = 1 }
	    END { exit bad }' "$T/fds.before" "$T/fds.after"
}
logins() { # N: real log-ins, each with all that belongs to one
	local i
	for i in $(seq "$1"); do
		sg c1 snapshots >/dev/null || return 1
	done
}
handshakes() { # N: TLS up to its end, then away
	python3 - "$PORT" "$1" <<'PY'
import socket, ssl, sys
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname = False
c.verify_mode = ssl.CERT_NONE
done = 0
for i in range(int(sys.argv[2])):
    try:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
        s.settimeout(10)
        t = c.wrap_socket(s)
        done += t.version() == "TLSv1.3"
        t.close()
    except OSError as e:
        print(i, e)
print(done, "handshakes")
sys.exit(done < int(sys.argv[2]) * 9 // 10)
PY
}
logins 5 >/dev/null 2>&1
until_ok 5 enough_sessions
sleep 0.5
fds >"$T/fds.before"
check "60 log-ins" logins 60
check "140 handshakes, 9 of 10 at least served at once" handshakes 140
until_ok 10 enough_sessions
check "master, listener, auth, keyd and logger hold no descriptor more" \
	until_ok 10 fds_no_more
note "descriptors: $(tr '\n' ' ' <"$T/fds.after")"

# --- a disabled client ---
new_client c2 >/dev/null 2>&1
head -c 120000000 /dev/urandom >"$T/src/large"
check "a second client is under way" hold c2
check "it is disabled" ctl client disable acme/c2
gone() { ! kill -0 "$1" 2>/dev/null; }
check "its session is cut off" until_ok 3 gone "${held_session:-$$}"
kill -CONT "${held_engine:-$$}"
wait "$held"
code=$?
check "the client does not end with success ($code)" test "$code" != 0
check_exit "and is refused from then on" 12 sg c2 snapshots
check "enabled, it is served again" ctl client enable acme/c2
check "at once" sg c2 snapshots
rm "$T/src/large"
check "the first client was not concerned" backup

# --- reload ---
write_conf "$extra
Access: { Server = [\"127.0.0.1\"]; };"
kill -HUP "$server_pid"
in_log "SIGHUP takes over what changed" 'reload key=Access.Server value='
in_log "and says so" 'reloaded changed=1'
check "a backup after it" backup
write_conf "$extra
Access: { Server = [\"192.0.2.1\"]; };"
kill -HUP "$server_pid"
for _ in $(seq 50); do
	[ "$(grep -c 'reloaded changed=1' "$T/server.log")" -ge 2 ] && break
	sleep 0.1
done
refused_access() {
	! sg c1 snapshots && grep -q 'conn-refused addr=127.0.0.1 .*reason=access' "$T/server.log"
}
check "who has no access any more is refused" until_ok 3 refused_access
write_conf "$extra"
kill -HUP "$server_pid"
for _ in $(seq 50); do
	[ "$(grep -c 'reloaded changed=1' "$T/server.log")" -ge 3 ] && break
	sleep 0.1
done
check "access given back" backup
sed 's/ID = "test"/ID = ;/' "$CONF" >"$CONF.bad"
cp "$CONF" "$CONF.good"
cp "$CONF.bad" "$CONF"
kill -HUP "$server_pid"
in_log "a wrong configuration is refused, naming its line" \
	'reload-refused reason=.*(line 1|:1)'
cp "$CONF.good" "$CONF"
check "and the old one goes on" backup

# --- one server on one state ---
check_exit "a second server on the same state is refused" 75 \
	timeout 10 "$BUILD/storegridd" -f "$CONF"
check_says "with the pid of the first" "pid $server_pid"
check "which runs on" backup

# --- the end ---
# Zombies have ended; their new parent has not looked yet.
left() { ps -o pid=,stat=,comm= -s "$server_pid" | awk '$2 !~ /^Z/'; }
none_left() { [ -z "$(left)" ]; }
start=$SECONDS
kill -TERM "$server_pid"
wait "$server_pid"
code=$?
check "SIGTERM: exit 0 ($code)" test "$code" = 0
check "within the time to drain" test $((SECONDS - start)) -le 10
check "and no process is left" none_left
check "the log ends with it" grep -q ' stopped' "$T/server.log"

check "the server starts again" start_server
check "a backup" backup
kill -KILL "$server_pid"
wait "$server_pid" 2>/dev/null
check "a killed master: no process is left after 2 s" until_ok 2 none_left
left | sed 's/^/# left: /'
check "and the server starts again" start_server
check "with its snapshots" sg c1 snapshots
