# Shared by the end-to-end tests; sourced, not run. Each test starts its own server
# in its own scratch directory on free loopback ports, with the real programs and
# all sandboxes on, and prints TAP.
set -u

here=${here:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
BUILD=${BUILD:-${work:-$here/build-test}/release}
T=$(mktemp -d "${TMPDIR:-/tmp}/storegrid-e2e.XXXXXX")
chmod 711 "$T"		# the roles' users pass through it
CONF=$T/SGConfiguration.conf
PASSWD_STAMP=$(stat -c %Y /etc/passwd)
tap=0
server_pid=

ok() { tap=$((tap + 1)); printf 'ok %d - %s\n' "$tap" "$1"; }
not_ok() { tap=$((tap + 1)); printf 'not ok %d - %s\n' "$tap" "$1"; }
note() { printf '# %s\n' "$*"; }
# check NAME COMMAND...: ok when the command succeeds; its own status tells, too
check() {
	local name=$1
	shift
	if "$@" >"$T/check.out" 2>&1; then
		ok "$name"
	else
		not_ok "$name"
		sed 's/^/# /' "$T/check.out" | tail -n 20
		return 1
	fi
}
# check_exit NAME CODE COMMAND...: ok when it exits with exactly CODE; its output
# is in $T/check.out
check_exit() {
	local name=$1 want=$2 got
	shift 2
	"$@" >"$T/check.out" 2>&1
	got=$?
	if [ "$got" = "$want" ]; then
		ok "$name"
	else
		not_ok "$name (exit $got, not $want)"
		sed 's/^/# /' "$T/check.out" | tail -n 20
	fi
}
# check_says NAME PATTERN: the last check's output
check_says() {
	if grep -qE -- "$2" "$T/check.out"; then
		ok "$1"
	else
		not_ok "$1 (no /$2/)"
		sed 's/^/# /' "$T/check.out" | tail -n 20
	fi
}
# in_log NAME PATTERN: within 5 s
in_log() {
	for _ in $(seq 50); do
		grep -qE -- "$2" "$T/server.log" && { ok "$1"; return; }
		sleep 0.1
	done
	not_ok "$1 (the log has no /$2/)"
	tail -n 15 "$T/server.log" | sed 's/^/# /'
}

free_port() {
	local p hex
	while :; do
		p=$((20000 + RANDOM % 12000))
		hex=$(printf ':%04X ' "$p")
		grep -qs "$hex" /proc/net/tcp /proc/net/tcp6 || break
	done
	echo "$p"
}
PORT=$(free_port)
SSLPORT=$(free_port)
GUIPORT=$(free_port)
# Nothing leaves the machine: tests of discovery run in namespaces of their own and
# set this.
DISCOVERY='Multicast: { Enabled = 0; }; TCP: { Enabled = 0; };'

# write_conf [EXTRA LINES]: the server's configuration
write_conf() {
	cat >"$CONF" <<EOF
ID = "test";
Ports: { Server = $PORT; SSLServer = $SSLPORT; GUI = $GUIPORT; };
Listen: { Server = ["127.0.0.1", "::1"]; GUI = ["127.0.0.1", "::1"]; };
Discovery: { $DISCOVERY };
Paths: { State = "$T/state"; Run = "$T/run"; Programs = "$BUILD"; };
Advertise = "127.0.0.1";
${1:-}
EOF
}

ctl() { "$BUILD/storegridctl" -f "$CONF" "$@"; }

start_server() { # [COMMAND PREFIX...]
	setsid "$@" "$BUILD/storegridd" -f "$CONF" </dev/null >>"$T/server.log" 2>&1 &
	server_pid=$!
	for _ in $(seq 100); do
		ctl status >/dev/null 2>&1 && return 0
		kill -0 "$server_pid" 2>/dev/null || break
		sleep 0.1
	done
	note "the server did not start"
	sed 's/^/# /' "$T/server.log" | tail -n 20
	return 1
}

wait_gone() { # PID SECONDS
	for _ in $(seq $(($2 * 20))); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

stop_server() {
	[ -n "$server_pid" ] || return 0
	kill "$server_pid" 2>/dev/null
	wait_gone "$server_pid" 15 || kill -KILL "$server_pid" 2>/dev/null
	wait "$server_pid" 2>/dev/null
	server_pid=
}

# Processes of this test's installation: ours alone run programs from $BUILD with a
# parent or channel here, so they are found by the server's process group (setsid).
server_processes() { ps -o pid= -s "$server_pid" 2>/dev/null; }

# new_client NAME: makes and enrols a client; its home is $T/NAME
new_client() {
	local name=$1
	ctl account list --json 2>/dev/null | grep -q '"account":"acme"' ||
		ctl account add acme >/dev/null || return 1
	mkdir -p "$T/$name"
	cat >"$T/$name/SGConfiguration.conf" <<EOF
Paths: { Programs = "$BUILD"; };
EOF
	ctl client add "acme/$name" >"$T/$name.token" 2>/dev/null || return 1
	STOREGRID_HOME=$T/$name "$BUILD/storegrid" enrol --token-file "$T/$name.token"
}
# sg NAME ARGUMENTS...: the command as that client
sg() {
	local name=$1
	shift
	STOREGRID_HOME=$T/$name "$BUILD/storegrid" "$@"
}

# same_tree A B: contents and metadata, by rsync
same_tree() {
	local out
	out=$(rsync -nicaHAX --delete --modify-window=-1 "$1/" "$2/" 2>&1)
	[ -z "$out" ] && return 0
	printf '%s\n' "$out" | head -n 20
	return 1
}

finish() {
	stop_server
	if [ "${KEEP:-}" = 1 ]; then
		note "kept: $T"
	else
		rm -rf --one-file-system "$T"
	fi
	printf '1..%d\n' "$tap"
}
trap finish EXIT
