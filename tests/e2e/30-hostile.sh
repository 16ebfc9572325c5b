#!/bin/bash
# An attacker who knows the protocol by heart, and has an account: every attack ends
# with a clear message, leaves an event in the log, and the server serves others.
#
# MUTATE (400) conversations with changes, by MUTATE_JOBS (2) attackers at once.
. "$(dirname "$0")/lib.sh"
HOSTILE=${HOSTILE:-$BUILD/tests/fault/hostile}
MUTATE=${MUTATE:-400}
MUTATE_JOBS=${MUTATE_JOBS:-2}
chmod 711 "$T"

# All attackers are exempt from penalties: here they are not to be kept out. Each
# attack has its own address, since the log joins what one source does in a minute.
write_conf 'Limits: { Exempt = ["127.0.0.0/8"]; };
Plaintext: { AllowFrom = ["127.0.9.9"]; };'
start_server || { not_ok "the server starts"; exit 1; }

net=1
host=0
next_source() {
	host=$((host + 1))
	[ $host -lt 250 ] || { net=$((net + 1)); host=1; }
	src=127.0.$net.$host
}
h() { timeout 180 "$HOSTILE" -p "$PORT" "$@"; }

# attack NAME ENDS LOG ARGUMENTS...: the attacker sees ENDS; the log says LOG, in
# which SRC is its address
attack() {
	local name=$1 ends=$2 log=$3 mark
	shift 3
	next_source
	mark=$(wc -l <"$T/server.log")
	h -b "$src" "$@" >"$T/check.out" 2>&1
	check_says "$name: the attacker is told" "$ends"
	[ -n "$log" ] || return
	log=${log//SRC/${src//./\\.}}
	for _ in $(seq 50); do
		tail -n +$((mark + 1)) "$T/server.log" | grep -qE -- "$log" && {
			ok "$name: the log tells"
			return
		}
		sleep 0.1
	done
	not_ok "$name: the log tells (no /$log/)"
	tail -n +$((mark + 1)) "$T/server.log" | tail -n 12 | sed 's/^/# /'
}
# attacks NAME ARGUMENTS...: many connections that the attacker judges itself
attacks() {
	local name=$1
	shift
	next_source
	check "$name" h -b "$src" "$@"
}
pids() {
	ps -o pid=,comm= -s "$server_pid" |
		awk '$2 ~ /^(storegridd|sg-(logger|keyd|auth|listener|store))$/' |
		sort
}
backup_works() {
	date >>"$T/tree/changing"
	check "$1" sg good backup "$T/tree"
}

mkdir -p "$T/tree"
cp -r /etc/default "$T/tree/" 2>/dev/null
check "a real client is enrolled" new_client good
backup_works "and backs up"

for i in $(seq 0 "$MUTATE_JOBS"); do
	ctl client add "acme/evil$i" >"$T/evil$i.token" 2>/dev/null
	h -t "$T/evil$i.token" enrol "$T/evil$i.key" >"$T/check.out" 2>&1
	check_says "attacker $i is enrolled" "enrolled as acme/evil$i"
done
# A vault keeps 32 lost runs for a minute: who begins many has a vault of its own.
ctl client add acme/liar >"$T/liar.token" 2>/dev/null
check "and one more" h -t "$T/liar.token" enrol "$T/liar.key"
key=$T/evil0.key
used=$T/evil0.token
ctl token add acme/evil0 >"$T/open.token" 2>/dev/null
before=$(pids)

# Those that wait for a clock of the server do so beside all others.
for s in say-nothing half-tls half-hello no-auth slow-bytes stall; do
	next_source
	echo "$src" >"$T/$s.src"
	h -b "$src" -k "$T/evil1.key" $s >"$T/$s.out" 2>&1 &
	echo $! >"$T/$s.pid"
done

# --- who are you? ---
attack "a used token" 'ERROR AUTH: this token has been used' \
	'auth-failure addr=SRC .*reason=used-token' -t "$used" use-token
attack "a token with a wrong secret" 'ERROR AUTH: this server does not know' \
	'auth-failure addr=SRC .*reason=bad-token' -t "$T/open.token" wrong-secret
attack "a token that was never made" 'ERROR AUTH: this server does not know' \
	'auth-failure addr=SRC .*reason=bad-token' -t "$T/open.token" unknown-token
attack "an unknown client" 'ERROR AUTH: unknown client or wrong key' \
	'auth-failure addr=SRC .*reason=unknown-client-or-key' -k "$key" unknown-client
attack "a wrong key" 'ERROR AUTH: unknown client or wrong key' \
	'auth-failure addr=SRC .*reason=unknown-client-or-key' -k "$key" wrong-key
attack "a log-in meant for another server" 'ERROR AUTH: unknown client or wrong' \
	'auth-failure addr=SRC .*reason=unknown-client-or-key' -k "$key" wrong-server
attack "a log-in recorded on another connection" 'ERROR AUTH: unknown client' \
	'auth-failure addr=SRC .*reason=unknown-client-or-key' -k "$key" replay-auth
attack "a client that expects another key" 'wrong pin' \
	'addr=SRC .*TLS: handshake: .*bad certificate' -k "$key" wrong-pin
attack "two enrolments in one connection" 'ERROR STATE' \
	'addr=SRC .*no log-in: .*before the log-in' -t "$T/open.token" enrol-twice
h -t "$T/open.token" use-token >"$T/check.out" 2>&1
check_says "and a token is used up by its first use alone" 'has been used'

# The key of evil0 was replaced by that: a new one.
ctl token add acme/evil0 >"$T/again.token" 2>/dev/null
check "a new token for a known client" h -t "$T/again.token" enrol "$key"

# --- clear text ---
attack "clear text" 'ERROR PLAINTEXT: clear text is not served here' \
	'addr=SRC .*clear text where it is not served' -k "$key" clear
attack "another protocol" 'ERROR PLAINTEXT: clear text is not served here' \
	'addr=SRC .*clear text where it is not served' -k "$key" other-protocol
attack "a TLS record of random bytes" '(closed|reset)' \
	'addr=SRC .*TLS: handshake' -k "$key" tls-garbage
h -b 127.0.9.9 -k "$key" clear-login >"$T/check.out" 2>&1
check_says "clear text where it is allowed: a log-in works" 'logged in as acme/evil0'
h -b 127.0.9.9 -t "$used" clear-enrol >"$T/check.out" 2>&1
check_says "clear text where it is allowed: no enrolment" \
	'ERROR PLAINTEXT: enrolment is refused in clear text'

# --- frames ---
attack "a version of the far future" 'ERROR VERSION: .*this server 1' \
	'addr=SRC .*no log-in: the client speaks versions 900' -k "$key" hello-version
attack "a hello of something else" 'ERROR PROTOCOL' \
	'addr=SRC .*no log-in: HELLO: malformed' -k "$key" hello-magic
attack "a question after BYE" 'after-bye: (BYE|closed|ERROR)' '' -k "$key" after-bye
attacks "each frame one byte too long, in every state" -k "$key" long-frames
in_log "which the log tells (before the log-in)" 'no log-in: too large before the log-in'
in_log "which the log tells (after it)" 'acme/evil0: ended: too large'
attacks "numbers of no frame, in every state" -k "$key" unknown-types
attacks "flags that mean nothing, in every state" -k "$key" flags
attacks "each frame where it may not be" -k "$key" out-of-state
in_log "which the log tells" 'no log-in: message not allowed now before the log-in'
attacks "payloads a byte longer or shorter" -k "$key" lengths
attacks "counts that lie" -k "$key" many-ids
attacks "zeros for each payload" -k "$key" odd-payloads
backup_works "a real client backs up after that"

# --- objects and snapshots ---
attacks "objects that are none" -k "$T/liar.key" damaged-objects
in_log "which the log tells" 'acme/liar.* refused: not a whole object'
attack "an object without a run" '(ERROR|answer) STATE' '' -k "$key" put-without-run
attack "two runs in one connection" 'run-twice: (BEGUN AGAIN|ERROR STATE|answer STATE)' \
	'' -k "$key" run-twice
attack "a snapshot as it should be" 'again: COMMITTED' 'acme/evil0: snapshot .* committed' \
	-k "$key" commit
attack "a snapshot that lacks an object" 'commit-incomplete: MISSING' '' \
	-k "$key" commit-incomplete
attack "a snapshot that lacks its root" 'commit-no-root: MISSING' '' \
	-k "$key" commit-no-root
refused='acme/evil0: commit refused'
attack "a snapshot whose root is no node" '(ERROR|answer) PROTOCOL' "$refused" \
	-k "$key" commit-chunk-root
attack "a snapshot of another client" '(ERROR|answer) (AUTH|DENIED)' "$refused" \
	-k "$key" commit-other-client
attack "a snapshot of another vault" '(ERROR|answer) (AUTH|DENIED)' "$refused" \
	-k "$key" commit-other-vault
attack "a snapshot of an old sequence" '(ERROR|answer) SEQUENCE' "$refused" \
	-k "$key" commit-old-sequence
attack "a snapshot of another past" '(ERROR|answer) SEQUENCE' "$refused" \
	-k "$key" commit-previous
attack "a snapshot with a wrong signature" '(ERROR|answer) (AUTH|CORRUPT)' "$refused" \
	-k "$key" commit-signature
attack "a snapshot of another job than its run" '(ERROR|answer) (PROTOCOL|STATE)' \
	"$refused" -k "$key" commit-other-job
attack "random bytes for a snapshot" '(ERROR|answer) PROTOCOL' "$refused" \
	-k "$key" commit-garbage
attack "a snapshot without a run" '(ERROR|answer) STATE' "$refused" \
	-k "$key" commit-without-run
attack "a node whose edge does not go down" '(ERROR|answer) (PROTOCOL|CORRUPT)|MISSING' \
	'' -k "$key" commit-rising
attack "200,000 ids at once" '(200 of 200 answered|ERROR LIMIT)' '' -k "$key" have-flood

h -k "$key" never-reads 6 >"$T/never.out" 2>&1 &
never=$!
sleep 1
backup_works "a real client backs up while another asks and never reads"
wait "$never"

# --- conversations with changes ---
each=$((MUTATE / MUTATE_JOBS))
seed=${SEED:-$(date +%s)}
note "mutate: seed $seed"
for i in $(seq "$MUTATE_JOBS"); do
	timeout $((each * 2 + 60)) "$HOSTILE" -p "$PORT" -t "$T/evil$i.token" \
		-k "$T/evil$i.key" mutate "$each" "$seed$i" >"$T/mutate$i.out" 2>&1 &
	echo $! >"$T/mutate$i.pid"
done
backup_works "a real client backs up meanwhile"
for i in $(seq "$MUTATE_JOBS"); do
	if wait "$(cat "$T/mutate$i.pid")"; then
		ok "$each changed conversations end, and unchanged ones are served ($i)"
	else
		not_ok "$each changed conversations end, and unchanged ones are served ($i)"
	fi
	sed 's/^/# /' "$T/mutate$i.out"
	if grep -qE ' 0 not closed after ERROR' "$T/mutate$i.out"; then
		ok "each that was refused was closed ($i)"
	else
		not_ok "each that was refused was closed ($i)"
	fi
done

# --- the dawdlers ---
dawdled() { # SCENARIO NAME ENDS LOG
	local src
	src=$(cat "$T/$1.src")
	wait "$(cat "$T/$1.pid")"
	cp "$T/$1.out" "$T/check.out"
	check_says "$2: is told" "$3"
	in_log "$2: the log tells" "${4//SRC/${src//./\\.}}"
}
dawdled say-nothing "not one byte" 'ERROR LATER' 'addr=SRC .*reason=silent'
dawdled half-tls "four bytes of TLS" '(closed|reset|ERROR)' \
	'addr=SRC .*(no handshake in time|TLS: )'
dawdled half-hello "half a frame" 'ERROR TIMEOUT' 'addr=SRC .*no log-in within 20 s'
dawdled no-auth "nothing after the hellos" 'ERROR TIMEOUT' \
	'addr=SRC .*no log-in within 20 s'
dawdled slow-bytes "a hello byte by byte" 'ERROR TIMEOUT' \
	'addr=SRC .*no log-in within 20 s'
dawdled stall "half a frame after the log-in" 'ERROR TIMEOUT' \
	'addr=SRC .*acme/evil1: ended: timed out'

# --- and after all that ---
backup_works "a real client backs up at the end"
mkdir "$T/out"
check "and restores" sg good restore latest --to "$T/out"
check "what it had" same_tree "$T/tree" "$T/out$T/tree"
after=$(pids)
left=
while read -r pid name; do
	# a store ends when nobody has asked it for a while, and says so
	[ "$name" = sg-store ] &&
		grep -qE "store-end .*pid=$pid( |\$)" "$T/server.log" && continue
	left="$left $name($pid)"
done < <(comm -23 <(echo "$before") <(echo "$after"))
if [ -z "$left" ]; then
	ok "no process of the server ended but sessions"
else
	not_ok "no process of the server ended but sessions"
	note "gone:$left"
fi
if grep -E '(crash|seccomp-kill|role-killed|role-exit) ' "$T/server.log" >"$T/check.out"; then
	not_ok "nothing crashed"
	sed 's/^/# /' "$T/check.out" | head -n 20
else
	ok "nothing crashed"
fi
