#!/bin/bash
# Two people compare a code and a machine is enrolled; somebody in between always shows
# in two different codes. PAIR_TRIES: how often he tries (24).
. "$(dirname "$0")/lib.sh"
py=$(dirname "$0")/pairing.py
tries=${PAIR_TRIES:-24}
declare -A helper		# processes that this test started

write_conf
start_server || { not_ok "the server starts"; exit 1; }
ctl account add acme >/dev/null || { not_ok "an account"; exit 1; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
	-subj /CN=middle -keyout "$T/middle.key" -out "$T/middle.crt" 2>/dev/null
cat "$T/middle.key" "$T/middle.crt" >"$T/middle.pem"

stop_helper() {
	[ -n "${helper[$1]:-}" ] || return 0
	kill "${helper[$1]}" 2>/dev/null
	wait "${helper[$1]}" 2>/dev/null
	unset "helper[$1]"
}
start_helper() { # NAME ARGUMENTS...
	local name=$1
	shift
	: >"$T/$name.out"	# the last one's "ready" is not this one's
	python3 "$py" "$@" >"$T/$name.out" 2>"$T/$name.err" &
	helper[$name]=$!
	for _ in $(seq 100); do
		grep -q ready "$T/$name.out" && return 0
		sleep 0.05
	done
	note "$name did not start: $(tail -n 1 "$T/$name.err")"
	return 1
}
home() {
	mkdir -p "$T/$1"
	echo "Paths: { Programs = \"$BUILD\"; };" >"$T/$1/SGConfiguration.conf"
}
pair_pid=
begin_pair() { # NAME PORT [OPTION]: in the background, until its code is there
	local name=$1 port=$2
	shift 2
	home "$name"
	STOREGRID_HOME=$T/$name "$BUILD/storegrid" pair --json "$@" "127.0.0.1:$port" \
		>"$T/$name.json" 2>"$T/$name.err" </dev/null &
	pair_pid=$!
	for _ in $(seq 200); do
		grep -q '"type":"code"' "$T/$name.json" && return 0
		kill -0 "$pair_pid" 2>/dev/null || break
		sleep 0.05
	done
	note "no code: $(tail -n 1 "$T/$name.json")"
	return 1
}
client_code() { sed -n 's/.*"type":"code","code":"\([0-9-]*\)".*/\1/p' "$T/$1.json"; }
# ended NAME WANTED: the exit code of the pairing begun last
ended() {
	local got
	wait "$pair_pid"
	got=$?
	if [ "$got" = "$2" ]; then
		ok "$1"
	else
		not_ok "$1 (exit $got, not $2)"
	fi
}
# waiting FIELD: of the pairings that wait, one a line
waiting() {
	ctl pair list --json | python3 -c '
import json, sys
for p in json.load(sys.stdin)["pairings"]:
    if p["state"] == "waiting":
        print(p[sys.argv[1]])' "$1"
}

# --- as it should be ---
begin_pair c1 "$PORT" && ok "storegrid pair shows a code" || { not_ok "storegrid pair shows a code"; exit 1; }
code=$(client_code c1)
note "$(head -n 1 "$T/c1.json")"
if [ "$(waiting code)" = "$code" ]; then
	ok "storegridctl pair shows the same"
else
	not_ok "storegridctl pair shows the same ($code, $(waiting code | tr '\n' ' '))"
fi
if ctl pair list 2>/dev/null | grep -q "$(hostname)"; then
	ok "with the client's host name"
else
	not_ok "with the client's host name"
fi
fp=$(sed -n 's/.*"fingerprint":"\([0-9a-f]*\)".*/\1/p' "$T/c1.json")
[ "${#fp}" = 32 ] && ok "and the client the server's fingerprint" || not_ok "a fingerprint"
other=$(printf '%04d-%04d' $(((10#${code%-*} + 1) % 10000)) $((10#${code#*-})))
if ctl pair accept "$other" acme/c1 >"$T/check.out" 2>&1; then
	not_ok "another code is not accepted"
else
	ok "another code is not accepted"
fi
check "the administrator accepts the code" ctl pair accept "$code" acme/c1
ended "the client is enrolled" 0
grep '"type":"enrolled"' "$T/c1.json" >"$T/check.out"
check_says "as the client that the administrator named" '"client":"acme/c1"'
if grep -q '"type":"waiting","seconds":' "$T/c1.json"; then ok "it said that it waits"; else not_ok "it said that it waits"; fi
if grep -q 'sg1-' "$T/c1.json" "$T/c1.err" "$T/server.log"; then
	not_ok "the token stands in no output and no log"
else
	ok "the token stands in no output and no log"
fi
mkdir -p "$T/src/dir"
head -c 300000 /dev/urandom >"$T/src/dir/a"
date >"$T/src/b"
check "a backup" sg c1 backup --job t "$T/src"
mkdir "$T/out"
check "a restore" sg c1 restore latest --to "$T/out"
check "brings the same back" same_tree "$T/src" "$T/out$T/src"
check_exit "a machine that is enrolled is not paired by accident: exit 2" 2 \
	sg c1 pair "127.0.0.1:$PORT"
if grep -qE 'conn-failed|auth-failure' "$T/server.log"; then
	not_ok "and no failure in the log"
	grep -E 'conn-failed|auth-failure' "$T/server.log" | sed 's/^/# /'
else
	ok "and no failure in the log"
fi

# --- what ends it ---
begin_pair c2 "$PORT"
check "the administrator refuses" ctl pair refuse "$(waiting pairing)"
ended "the client ends with 12" 12
[ ! -e "$T/c2/client" ] && ok "and is not enrolled" || not_ok "and is not enrolled"

begin_pair c3 "$PORT"
sleep 1
kill -INT "$pair_pid"
ended "an interrupt ends it with 130" 130

begin_pair c4 "$PORT"
stop_server
start_server || { not_ok "the server starts again"; exit 1; }
ended "a pairing that the server has forgotten ends with 75" 75
note "$(tail -n 1 "$T/c4.json")"

# --- the secret of the poll ---
coproc HAND { exec python3 "$py" client "$PORT" 2>"$T/hand.err"; }
hand_in=${HAND[1]} hand_out=${HAND[0]} hand_pid=$HAND_PID
hand() { # COMMAND: the answer
	local line
	echo "$1" >&"$hand_in"
	read -r -t 20 line <&"$hand_out"
	echo "$line"
}
says() { # NAME COMMAND PATTERN
	local got
	got=$(hand "$2")
	if [[ $got =~ $3 ]]; then ok "$1"; else not_ok "$1 ($got)"; fi
}
mine=$(hand start)
code=${mine#waiting }
if [ "$(waiting code)" = "$code" ]; then
	ok "a client written from doc/PROTOCOL.md comes to the same code"
else
	not_ok "a client written from doc/PROTOCOL.md comes to the same code ($mine)"
fi
says "a poll with another secret gives nothing" poll-other '^gone$'
says "nor does opening it again" open '^error'
says "the right one waits" poll '^waiting$'
ctl pair accept "$code" acme/hand >/dev/null 2>&1
says "a poll with another secret still gives nothing" poll-other '^gone$'
says "the right one gives the token" poll '^accepted sg1-'
says "and a second time nothing" poll '^gone$'
says "a nonce that was not committed to is refused" start-other-nonce '^error 4 '
says "pairing without the feature in HELLO is refused" start-clear-feature '^error 10'
exec {hand_in}>&-
wait "$hand_pid" 2>/dev/null
# what these broke on purpose counts against this address
stop_server
write_conf 'Limits: { Exempt = ["127.0.0.0/8"]; };'
start_server || { not_ok "the server starts again"; exit 1; }

# --- an older server ---
OLD=$(free_port)
start_helper old old "$OLD" "$T/middle.pem"
home c5
check_exit "an older server: exit 1" 1 sg c5 pair "127.0.0.1:$OLD"
check_says "and it says what to do instead" 'does not know pairing.*token'
if grep -q 'then 67' "$T/old.out"; then ok "nothing was said to it"; else not_ok "nothing was said to it"; fi
stop_helper old

# --- somebody in between ---
MIDDLE=$(free_port)
modes=(relay both nonce identity)
differ=0
refused=0
for i in $(seq "$tries"); do
	mode=${modes[$((i % 4))]}
	for _ in 1 2 3; do
		start_helper middle mitm "$MIDDLE" "$PORT" "$T/middle.pem" "$mode" || break 2
		rm -rf "${T:?}/victim"
		begin_pair victim "$MIDDLE" && break
		stop_helper middle
	done
	if [ -n "$(client_code victim)" ]; then
		theirs=$(waiting code)
		mine=$(client_code victim)
		[[ $theirs =~ ^[0-9]{4}-[0-9]{4}$ && $mine =~ ^[0-9]{4}-[0-9]{4}$ &&
			$theirs != "$mine" ]] && differ=$((differ + 1)) ||
			note "try $i, $mode: $mine, $theirs"
		ctl pair accept "$mine" acme/victim >/dev/null 2>&1 &&
			note "try $i, $mode: the client's code was accepted"
		ctl pair refuse "$(waiting pairing)" >/dev/null 2>&1
		if [ "$i" -le 4 ]; then
			wait "$pair_pid"
			# with another identity than in HELLO_OK the poll is refused, too
			[ $? = 12 ] && refused=$((refused + 1))
		else
			kill -INT "$pair_pid"
			wait "$pair_pid"
		fi
	fi
	[ -e "$T/victim/client" ] && note "try $i, $mode: enrolled"
	stop_helper middle
done
if [ "$differ" = "$tries" ]; then
	ok "somebody in between: two codes in $differ of $tries tries"
else
	not_ok "somebody in between: two codes in $differ of $tries tries"
fi
if [ "$refused" = 4 ]; then ok "and the refusal ends the client with 12"; else not_ok "and the refusal ends the client with 12 ($refused of 4)"; fi
[ ! -e "$T/victim/client" ] && ok "who is not enrolled" || not_ok "who is not enrolled"

# one who waits until the codes were compared
# (a connection that broke before any code proves nothing: once more)
for _ in 1 2 3; do
	start_helper middle mitm "$MIDDLE" "$PORT" "$T/middle.pem" later
	begin_pair late "$MIDDLE" && break
	stop_helper middle
done
ctl pair accept "$(client_code late)" acme/late >/dev/null 2>&1
ended "somebody who steps in after the code was shown: exit 13" 13
note "$(tail -n 1 "$T/late.json" | cut -c1-200)"
[ ! -e "$T/late/client" ] && ok "and no enrolment" || not_ok "and no enrolment"
stop_helper middle
