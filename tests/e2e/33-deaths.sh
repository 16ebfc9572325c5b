#!/bin/bash
# Deaths at bad moments: a worker that crashes after the log-in, a vault whose
# process cannot be started, and a signal that reaches everybody at once.
. "$(dirname "$0")/lib.sh"

write_conf 'Limits: { Exempt = ["127.0.0.1"]; };'
check "the server starts" start_server
check "a client is enrolled" new_client c1
mkdir "$T/src"
head -c 1000000 /dev/urandom >"$T/src/a"

pid_of() { ctl status --json | grep -o "\"role\":\"$1\",\"pid\":[0-9]*" | grep -o '[0-9]*$' | head -n 1; }
# The session that serves somebody: the one with a connection.
busy_session() {
	ctl status --json | grep -o '{"role":"session"[^}]*"connection"[^}]*}' |
		grep -o '"pid":[0-9]*' | cut -d: -f2 | head -n 1
}

# --- no process for the vault: keyd is away just when a store needs it ---
# auth is held back after the client's TLS; then keyd is ended until its back-off is
# long enough for the log-in to fall into it.
store=$(pgrep -s "$server_pid" -x sg-store)
[ -z "$store" ] || { kill -KILL "$store"; wait_gone "$store" 5; }
auth=$(pid_of auth)
kill -STOP "$auth"
sg c1 backup --job t "$T/src" >"$T/early.out" 2>&1 &
early=$!
sleep 1
for _ in $(seq 7); do
	keyd=$(pgrep -s "$server_pid" -x sg-keyd | head -n 1)
	[ -z "$keyd" ] || kill -KILL "$keyd"
	for _ in $(seq 80); do
		[ -n "$keyd" ] && ! kill -0 "$keyd" 2>/dev/null && break
		sleep 0.05
	done
	grep -c 'role-killed role=keyd' "$T/server.log" >"$T/kills"
	[ "$(cat "$T/kills")" -ge 5 ] && break
	for _ in $(seq 80); do
		pgrep -s "$server_pid" -x sg-keyd >/dev/null && break
		sleep 0.05
	done
done
kill -CONT "$auth"
wait "$early"
got=$?
in_log "its session was told that there is none" 'role=session .*acme/c1: vault: '
[ "$got" = 75 ] && ok "a client whose vault gets no process is told to come again" || {
	not_ok "a client whose vault gets no process is told to come again (exit $got)"
	sed 's/^/# /' "$T/early.out" | tail -n 5
}
for _ in $(seq 100); do
	sg c1 backup --job t "$T/src" >"$T/check.out" 2>&1 && break
	sleep 0.2
done
check "and is served when keyd is back" sg c1 backup --job t "$T/src"
check "the master has lived through it" kill -0 "$server_pid"

# --- a signal to everybody ---
head -c 300000000 /dev/urandom >"$T/src/b"
sg c1 backup --job t "$T/src" >"$T/stopped.out" 2>&1 &
backup=$!
for _ in $(seq 50); do
	[ -n "$(busy_session)" ] && break
	sleep 0.05
done
kill -TERM -- "-$server_pid"
wait "$backup"
got=$?
# over, or not over in the time that it has
[ "$got" = 75 ] || [ "$got" = 0 ] && ok "SIGTERM to the whole group: the client hears why" || {
	not_ok "SIGTERM to the whole group: the client hears why (exit $got)"
	sed 's/^/# /' "$T/stopped.out" | tail -n 5
}
check "and the server ends in order" wait_gone "$server_pid" 15
in_log "with its last line" 'role=master .* stopped$'
grep -q 'role-killed' <(sed '1,/stopping$/d' "$T/server.log") &&
	not_ok "nobody died of it" || ok "nobody died of it"

# --- a crash after the log-in costs its source as much as one before ---
write_conf
check "the server starts again" start_server
sg c1 backup --job t "$T/src" >"$T/crash.out" 2>&1 &
backup=$!
crashed=
for _ in $(seq 100); do
	crashed=$(busy_session)
	[ -n "$crashed" ] && kill -ABRT "$crashed" && break
	sleep 0.02
done
wait "$backup"
in_log "a crash is an event with its connection" 'crash role=session .*addr=127.0.0.1 .*signal=ABRT'
check_exit "and a penalty of its source" 75 sg c1 snapshots
in_log "which the log names" 'conn-refused addr=127.0.0.1 .*reason=penalty'
