#!/bin/bash
# What the administrator meets: checks of the configuration, reload, refusals at the
# start, the start under systemd's rules, the control socket, the end.
. "$(dirname "$0")/lib.sh"
launch() { timeout 20 python3 "$here/tests/fault/integ_launch.py" "$@"; }
says() { # NAME CODE PATTERN COMMAND...
	local name=$1 code=$2 pattern=$3
	shift 3
	local got
	if [ "$(type -t "$1")" = function ]; then
		"$@" >"$T/check.out" 2>&1
	else
		timeout 20 "$@" >"$T/check.out" 2>&1
	fi
	got=$?
	if [ "$got" = "$code" ] && grep -qE -- "$pattern" "$T/check.out"; then
		ok "$name"
	else
		not_ok "$name (exit $got, wanted $code and /$pattern/)"
		sed 's/^/# /' "$T/check.out" | head -n 5
	fi
}
D=$BUILD/storegridd

# --- -t and -T ---
write_conf
timeout 20 "$D" --init -f "$CONF" >"$T/check.out" 2>&1 && ok "--init makes the directories" ||
	not_ok "--init makes the directories"
says "-t: nothing to say" 0 '' "$D" -t -f "$CONF"
says "-T prints values" 0 "Ports.Server.*$PORT" "$D" -T -f "$CONF"
check_says "and which of them a reload changes" '(reload|restart)'
try() { # NAME PATTERN TEXT
	printf '%s\n' "$3" >"$T/bad.conf"
	says "-t: $1" 78 "$2" "$D" -t -f "$T/bad.conf"
}
base="Paths: { State = \"$T/state\"; Run = \"$T/run\"; Programs = \"$BUILD\"; };"
try "an unknown key, with the line and the nearest name" 'bad.conf:2: .*Ports.Servr.*Ports.Server' "$base
Ports: { Servr = 1; };"
try "a value of another type" 'SSL.Enabled' "$base SSL: { Enabled = true; };"
try "a string for a number" 'SSL.Enabled' "$base SSL: { Enabled = \"1\"; };"
try "a key twice" '(twice|again|duplicate)' "$base
ID = \"a\"; ID = \"b\";"
try "a number out of range" 'Ports.Server' "$base Ports: { Server = 70000; };"
try "a number over 31 bits" '31 bits' "$base Ports: { Server = 4294999300; };"
try "a syntax error, with its line" 'bad.conf:3' "$base

Ports = { Server = 3; };;;x"
try "@include" 'include' "$base
@include \"/etc/passwd\""
try "an access list with bits behind the prefix" 'Access.Server' "$base Access: { Server = [\"192.0.2.1/24\"]; };"
for mode in replication; do
	try "Mode = $mode" "Mode.*(server|not)" "$base Mode = \"$mode\";"
done
try "a relative path" 'Paths.State' "Paths: { State = \"state\"; Run = \"$T/run\"; };"
head -c 300000 /dev/zero | tr '\0' '#' >"$T/bad.conf"
says "-t: a file over 256 KiB" 78 '256' "$D" -t -f "$T/bad.conf"
printf '%s\n' "$base" >"$T/bad.conf"
chmod 666 "$T/bad.conf"
says "-t: a file that others may write" 78 '(write|writable|mode)' "$D" -t -f "$T/bad.conf"
says "-t: no such file" 78 'nothere' "$D" -t -f "$T/nothere"
chown 1 "$T/state/keyd"
says "-t: a directory with a wrong owner, with the command that mends it" 78 "chown .*$T/state/keyd" "$D" -t -f "$CONF"
sh -c "$(grep -oE 'chown [0-9a-z:_-]+ [^ ]*' "$T/check.out" | head -n 1 | tr -d '`')"
says "which mends it" 0 '' "$D" -t -f "$CONF"

# --- refusals at the start ---
python3 -c '
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(1); print("up", flush=True); time.sleep(60)' "$PORT" >"$T/up" &
holder=$!
for _ in $(seq 50); do [ -s "$T/up" ] && break; sleep 0.1; done
says "a port in use: exit 78, with the key, the port and who has it" 78 \
	"Ports.Server.*127.0.0.1:$PORT.*in use.*$holder" "$D" -f "$CONF"
kill $holder
wait $holder 2>/dev/null
check "the server starts" start_server
says "a second master on the same state: exit 75, with the first one's pid" 75 "$server_pid" "$D" -f "$CONF"
sed "s|Server = $PORT|Server = $(free_port)|; s|$T/run|$T/run2|" "$CONF" >"$T/second.conf"
says "on other ports too" 75 "$server_pid" "$D" -f "$T/second.conf"

# --- the control socket ---
sock=$T/run/control.sock
group=$(getent group storegrid-admin | cut -d: -f3)
check "the control socket: mode 0660, root's group or storegrid-admin" \
	test "$(stat -c %a:%g "$sock")" = "660:${group:-0}"
says "somebody else may not administer" 10 '[Pp]ermission denied' \
	setpriv --reuid 61999 --regid 61999 --clear-groups -- "$BUILD/storegridctl" -f "$CONF" status
says "who may is named in the log" 0 '' ctl account add acme
in_log "with his user id" 'admin by="uid=0 pid=[0-9]+": account add acme'

# --- reload ---
new_client c1 >/dev/null 2>&1
mkdir "$T/src"
date >"$T/src/a"
check "a backup" sg c1 backup --job t "$T/src"
reload() { kill -HUP "$server_pid"; }
write_conf 'Access: { Server = ["192.0.2.0/24"]; };'
reload
in_log "SIGHUP with a good file" '(^| )reloaded'
sg c1 backup --job t "$T/src" >"$T/check.out" 2>&1
code=$?
if [ "$code" != 0 ]; then ok "and it is in force: this address is not served any more (exit $code)"; else
	not_ok "and it is in force: this address is not served any more"
fi
write_conf 'Access: { Server = ["any"] };
Nonsense = 1;'
reload
in_log "SIGHUP with a bad file is refused" 'reload-refused.*'
in_log "with the reason" 'Nonsense'
sg c1 backup --job t "$T/src" >/dev/null 2>&1 && not_ok "the old values stay in force" ||
	ok "the old values stay in force"
write_conf 'Pool: { SessionMin = 6; };'
sed -i "s|Server = $PORT|Server = $(free_port)|" "$CONF"
reload
in_log "a key that needs a restart is named" 'Ports.Server.*restart|restart.*Ports.Server'
check "the others of the file are in force" sg c1 backup --job t "$T/src"
write_conf

# --- the end ---
head -c 150000000 /dev/urandom >"$T/src/large"
STOREGRID_HOME=$T/c1 "$BUILD/storegrid" backup --job t "$T/src" >"$T/drain.out" 2>&1 &
client=$!
for _ in $(seq 200); do
	find "$T/state/vaults" -name '*.d' -size +1M 2>/dev/null | grep -q . && break
	sleep 0.02
done
old=$(ps -o pid= -s "$server_pid" | wc -l)
kill -TERM "$server_pid"
wait "$client"
code=$?
note "the backup under way at SIGTERM ended with $code, $old processes ran"
if [ "$code" = 0 ]; then ok "SIGTERM lets a running session finish"; else
	not_ok "SIGTERM lets a running session finish (exit $code)"
	tail -n 3 "$T/drain.out" | sed 's/^/# /'
fi
wait "$server_pid"
code=$?
if [ "$code" = 0 ]; then ok "and the master exits with 0"; else not_ok "and the master exits with 0 ($code)"; fi
if [ -z "$(ps -o pid= -s "$server_pid")" ]; then ok "no process is left"; else
	not_ok "no process is left"
	ps -o pid,comm -s "$server_pid" | sed 's/^/# /'
fi
server_pid=

# --- as under systemd: its own user, four ambient capabilities, sockets passed ---
master=$(stat -c %u "$T/state")
four=127.0.0.1,$PORT
six=::1,$PORT
gui4=127.0.0.1,$GUIPORT
gui6=::1,$GUIPORT
rm -f "$sock"
chown "$master" "$T/run"
launched() { # SOCKETS...: exits by itself
	launch "$master" "$@" -- "$D" -f "$CONF"
}
says "no socket for ::1: refused, with key and command" 78 \
	"Ports.Server wants \[::1\]:$PORT.*systemctl edit storegridd-backup.socket" launched "$four"
other=$(free_port)
says "another port: refused" 78 "127.0.0.1:$other, but Ports.Server wants 127.0.0.1:$PORT.*systemctl" launched "127.0.0.1,$other" "$six"
says "another address: refused" 78 '127.0.0.2.*Ports.Server' launched "127.0.0.2,$PORT" "$six"
sed 's|^Listen:.*|Listen: { Server = ["*"]; };|' "$CONF" >"$T/all.conf"
says "an IPv6 socket that takes IPv4: refused" 78 'BindIPv6Only=ipv6-only' \
	launch "$master" "+::,$PORT" -- "$D" -f "$T/all.conf"
says "a socket that does not listen: refused" 78 'no listening' launched "-$four" "$six"
says "one too many: refused" 78 'does not want' launched "$four" "$six" "$gui4" "$gui6" "127.0.0.1,$SSLPORT"
says "another control socket: refused" 78 'Paths.Run' launched "$four" "$six" "unix,$T/run/other.sock"
check "with what the configuration says, it starts without root" \
	start_server python3 "$here/tests/fault/integ_launch.py" "$master" "$four" "$six" "$gui4" "$gui6" "unix,$sock" --
if [ "$(awk '/^Uid:/ { print $2 }' "/proc/$server_pid/status")" = "$master" ]; then
	ok "under its own user"
else
	not_ok "under its own user"
fi
caps() { awk '/^CapEff:/ { print $2 }' "/proc/$1/status"; }
bad=
for p in $(ps -o pid= -s "$server_pid"); do
	c=$(caps "$p")
	[ "$p" = "$server_pid" ] && want=00000000000400e0 || want=0000000000000000
	[ "$c" = "$want" ] || bad="$bad $p:$c"
done
if [ -z "$bad" ]; then ok "only the master has capabilities, and four"; else not_ok "only the master has capabilities, and four ($bad)"; fi
check "a backup through the passed sockets" sg c1 backup --job t "$T/src"
mkdir "$T/out"
check "and a restore" sg c1 restore latest --to "$T/out"
check "is the same" same_tree "$T/src" "$T/out$T/src"
stop_server

# --- its own user, its own sockets ---
check "without passed sockets it opens its own" \
	start_server python3 "$here/tests/fault/integ_launch.py" "$master" --
check "and serves" sg c1 snapshots
stop_server
