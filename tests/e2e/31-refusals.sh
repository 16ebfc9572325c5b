#!/bin/bash
# What the owner of the data sees when something is not right: the exit code that
# the manual promises, and a sentence that says what to do.
. "$(dirname "$0")/lib.sh"
HOSTILE=${HOSTILE:-$BUILD/tests/fault/hostile}
chmod 711 "$T"

write_conf 'Limits: { Exempt = ["127.0.0.0/8"]; };'
start_server || { not_ok "the server starts"; exit 1; }
ctl account add acme >/dev/null
h() { "$HOSTILE" -p "$PORT" "$@"; }

mkdir -p "$T/tree"
cp -r /etc/default "$T/tree/" 2>/dev/null
date >"$T/tree/date"

# home NAME [LINES]: an empty home of a client
home() {
	rm -rf "${T:?}/$1"
	mkdir "$T/$1"
	printf '%s\n' "Paths: { Programs = \"$BUILD\"; };" "${2:-}" \
		>"$T/$1/SGConfiguration.conf"
}
# refused NAME CODE SAYS COMMAND...: within 60 s
refused() {
	local name=$1 code=$2 says=$3
	shift 3
	check_exit "$name: exit $code" "$code" "$@"
	check_says "$name: says why" "$says"
}
enrol() { sg "$1" enrol --token-file "$2"; }
token() { ctl client add "acme/$1" >"$T/$1.token" 2>/dev/null; }
tsg() { STOREGRID_HOME=$T/$1 timeout 60 "$BUILD/storegrid" "${@:2}"; }

# A token that lives for a minute, made first and tried last.
ctl client add acme/late --expires 60s >"$T/late.token" 2>/dev/null ||
	not_ok "a token for a minute is made"
expires=$((SECONDS + 61))

# --- tokens ---
token c1
home c1
for what in secret id; do
	h -t "$T/c1.token" token-change $what "$T/wrong.token"
	refused "a token with a wrong $what" 12 'does not know this token' \
		enrol c1 "$T/wrong.token"
	in_log "a token with a wrong $what: in the log" 'auth-failure addr=.*reason=bad-token'
done
tr 'a-m' 'n-z' <"$T/c1.token" >"$T/typo.token"
refused "a token with typing errors" 12 '(typing error|not an enrolment token)' \
	enrol c1 "$T/typo.token"
echo hello >"$T/hello.token"
refused "something that is no token" 12 'not an enrolment token' \
	enrol c1 "$T/hello.token"
h -t "$T/c1.token" token-change pin "$T/wrong.token"
refused "a token with another pin" 13 'pin mismatch.*nothing was sent' \
	enrol c1 "$T/wrong.token"
in_log "a token with another pin: in the log" 'TLS: handshake: .*bad certificate'
h -t "$T/c1.token" token-change identity "$T/wrong.token"
refused "a token with another identity" 13 'identity' enrol c1 "$T/wrong.token"
check "the right token, after all that" enrol c1 "$T/c1.token"
refused "enrolled already" 2 'enrolled already' enrol c1 "$T/c1.token"
home c2
refused "a token used twice" 12 'has been used' enrol c2 "$T/c1.token"
in_log "a token used twice: in the log" 'auth-failure addr=.*reason=used-token'

# --- a client that is not wanted any more ---
check "it backs up" tsg c1 backup --job j "$T/tree"
check "it is disabled" ctl client disable acme/c1
refused "a disabled client" 12 'disabled' tsg c1 backup --job j "$T/tree"
in_log "a disabled client: in the log" 'auth-failure addr=.*reason=disabled-client'
check "it is enabled" ctl client enable acme/c1
check "and backs up again" tsg c1 backup --job j "$T/tree"
token gone
home gone
check "another enrols" enrol gone "$T/gone.token"
check "and is removed" ctl client rm acme/gone
refused "a removed client" 12 'unknown client or wrong key' tsg gone snapshots
in_log "a removed client: in the log" 'reason=unknown-client-or-key'

# Its key is replaced by another machine's.
cp -a "$T/c1" "$T/old"
ctl token add acme/c1 >"$T/c1b.token" 2>/dev/null
rm -rf "$T/c1"
home c1
check_exit "a second machine takes its place" 0 enrol c1 "$T/c1b.token"
refused "the first machine" 12 'unknown client or wrong key' tsg old snapshots
check "the second works" tsg c1 backup --job j "$T/tree"

# --- a server that is another, or something else ---
p=$(free_port)
other() { # KIND: c1's configuration points to a pretended server
	"$HOSTILE" -p "$p" pretend "$1" 600 >/dev/null 2>&1 &
	pretend=$!
	for _ in $(seq 50); do
		grep -q "$(printf ':%04X 00000000:0000 0A' "$p")" /proc/net/tcp && break
		sleep 0.1
	done
}
other_end() {
	kill "$pretend" 2>/dev/null
	wait "$pretend" 2>/dev/null
}
cp -a "$T/c1" "$T/far"
echo "Ports: { Server = $p; };" >>"$T/far/SGConfiguration.conf"
refused "nothing listens" 10 'refuses connections to TCP' tsg far backup --job j "$T/tree"
other http
refused "a web server" 13 'does not speak TLS' tsg far snapshots
other_end
other junk
refused "something like TLS" 13 '(TLS|handshake)' tsg far snapshots
other_end
other close
refused "a port that closes at once" 10 'closed the connection before TLS' \
	tsg far snapshots
other_end
other later
refused "a server that is busy" 75 'try again later' tsg far backup --job j "$T/tree"
other_end
other long
refused "a refusal longer than any may be" 75 'try again later' tsg far snapshots
other_end

# One run of a job at a time: the first hangs in a server that says nothing.
other silence
tsg far backup --job j "$T/tree" >"$T/first.out" 2>&1 &
first=$!
sleep 2
refused "a second run of the same job" 75 'under way' tsg far backup --job j "$T/tree"
wait "$first"
code=$?
cp "$T/first.out" "$T/check.out"
if [ "$code" = 10 ]; then
	ok "a server that says nothing: exit 10"
else
	not_ok "a server that says nothing: exit 10 (exit $code)"
fi
check_says "a server that says nothing: says why" 'said nothing for'
other_end

# --- another installation under the same address ---
stop_server
refused "the server is down" 10 'refuses connections' tsg c1 backup --job j "$T/tree"
mv "$T/state" "$T/state.first"
start_server || not_ok "another installation starts in its place"
refused "another installation" 13 'pin mismatch' tsg c1 backup --job j "$T/tree"
stop_server
rm -rf "$T/state"
mv "$T/state.first" "$T/state"
start_server || not_ok "the first starts again"
check "the right one again" tsg c1 backup --job j "$T/tree"

# --- time ---
left=$((expires - SECONDS))
[ "$left" -le 0 ] || sleep "$left"
home late
refused "an expired token" 12 'expired' enrol late "$T/late.token"
in_log "an expired token: in the log" 'auth-failure addr=.*reason=expired-token'

if grep -E '(crash|seccomp-kill|role-killed|role-exit) ' "$T/server.log" >"$T/check.out"; then
	not_ok "nothing crashed"
	sed 's/^/# /' "$T/check.out" | head -n 20
else
	ok "nothing crashed"
fi
