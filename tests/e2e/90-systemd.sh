#!/bin/bash
# The units, started by a real systemd in a container: a backup and a restore through
# them, and a socket unit that does not match the configuration. The container's root
# is this machine's, read through an overlay; it has no network but its own loopback.
. "$(dirname "$0")/lib.sh"

for u in storegridd.service; do
	score() {
		cp "$BUILD"/conf/systemd/* "$T/"
		[ -n "$1" ] && sed -i '/PrivateNetwork=/d; s/^RestrictAddressFamilies=.*/& AF_INET AF_INET6/; /^IPAddressDeny=/d; /^SocketBindDeny=/d' "$T/$u"
		systemd-analyze security --offline=yes --no-pager --threshold="$2" "$T/$u"
	}
	check "exposure of $u is at most 1.0 with the socket units" score "" 10
	check "and at most 2.0 where it opens its ports itself" score own 20
done
# it has a network, which the other has not
u=storegridd-dialer.service
check "exposure of $u is at most 2.0" score "" 20

ct=$T/ct
mkdir "$ct"
mount -t tmpfs -o mode=755 tmpfs "$ct"
mkdir "$ct/up" "$ct/work" "$ct/root"
unmount() {
	umount "$ct/root" 2>/dev/null
	umount "$ct" 2>/dev/null
	finish
}
trap unmount EXIT
mount -t overlay overlay -o "lowerdir=/,upperdir=$ct/up,workdir=$ct/work" "$ct/root"
r=$ct/root
check "make install DESTDIR= lays the tree out" make -s -C "$BUILD" install DESTDIR="$r"
for f in usr/sbin/storegridd usr/sbin/storegridctl usr/libexec/storegrid/sg-dialer \
    usr/lib/systemd/system/storegridd-{dialer.service,dialer.socket,gui.socket} \
    usr/lib/systemd/system/storegridd-{discovery,scan}.socket usr/bin/storegrid \
    usr/libexec/storegrid/sg-session usr/lib/systemd/system/storegridd.service \
    usr/lib/sysusers.d/storegrid.conf usr/lib/tmpfiles.d/storegrid.conf; do
	[ -e "$r/$f" ] || note "missing: /$f"
done
tr -d - </proc/sys/kernel/random/uuid >"$r/etc/machine-id"
rm -f "$r/etc/systemd/system/multi-user.target.wants/"*
mkdir -p "$r/var/sgtest"

cat >"$r/etc/systemd/system/sgtest.target" <<'EOF'
[Unit]
Requires=basic.target sgtest.service
After=basic.target
AllowIsolate=yes
EOF
cat >"$r/etc/systemd/system/sgtest.service" <<'EOF'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /var/sgtest/run
ExecStopPost=/bin/systemctl --no-block exit
StandardOutput=append:/var/sgtest/out
StandardError=append:/var/sgtest/err
TimeoutStartSec=150
EOF
cat >"$r/var/sgtest/run" <<'EOF'
set -u
export HOME=/root
yes() { echo "ok - $1"; }
no() { echo "not ok - $1"; journalctl -b --no-pager -u 'storegridd*' | tail -n 30 | sed 's/^/# /'; }
check() { n=$1; shift; if "$@" >/var/sgtest/last 2>&1; then yes "$n"; else no "$n"; sed 's/^/# /' /var/sgtest/last; fi; }

ip link set lo up 2>/dev/null
check "sysusers makes the users" systemd-sysusers storegrid.conf
check "tmpfiles makes the directories" systemd-tmpfiles --create storegrid.conf
systemctl daemon-reload
check "the units start" systemctl enable --now storegridd.service
check "the server answers" timeout 20 storegridctl status
check "sandbox shows it" storegridctl sandbox
# pid ROLE: of the one that status lists, within 10 s
pid() {
	for _ in $(seq 100); do
		storegridctl status | awk -v r="$1" '$1 == r { print $2; f = 1; exit } END { exit !f }' && return
		sleep 0.1
	done
	storegridctl status
	return 1
}
for r in login catalog mcast dialer; do check "there is a $r" pid "$r"; done
check "no scan, which nobody enabled" sh -c '! storegridctl status | grep -q "^scan "'
check "its socket is not enabled" sh -c '[ "$(systemctl is-enabled storegridd-scan.socket)" = disabled ]'
ss -Hlntu | awk '{ n = split($5, a, ":"); print $1, a[n] }' | sort -u >/var/sgtest/ports
for p in "tcp 32004" "tcp 32005" "udp 6363" "udp 6364"; do
	check "open: $p" grep -qx "$p" /var/sgtest/ports
done
check "and no others" sh -c '[ "$(grep -c . /var/sgtest/ports)" = 4 ]'
check "the server's unit has no network" sh -c '[ "$(readlink /proc/'"$(pid master)"'/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
check "the dialer has one" sh -c '[ "$(readlink /proc/'"$(pid dialer)"'/ns/net)" = "$(readlink /proc/self/ns/net)" ]'
# hello ADDR: somebody connects there, within 10 s, and speaks TLS
hello() {
	timeout 15 python3 -c 'import socket, sys
s = socket.create_server((sys.argv[1], 33005))
s.settimeout(10)
print("listening", flush=True)
c = s.accept()[0]
c.settimeout(5)
assert c.recv(1) == b"\x16"' "$1" >/var/sgtest/hello 2>&1 &
	h=$!
	until grep -q listening /var/sgtest/hello; do sleep 0.05; kill -0 $h || return 1; done
	storegridctl peer add "$1:33005" &&
	    { wait $h || { cat /var/sgtest/hello; return 1; }; }
}
check "a peer is dialled through it" hello 127.0.0.1
was=$(pid dialer)
systemctl kill -s KILL storegridd-dialer.service
sleep 1
check "killed, the dialer comes back" sh -c '[ "$(storegridctl status | grep -c "^dialer ")" = 1 ] || sleep 2'
check "as another process" test "$(pid dialer)" != "$was"
check "which dials" hello 127.0.0.2
sleep 1		# a worker that is just starting has not dropped anything yet
storegridctl sandbox --json >/var/sgtest/sandbox.json
check "no role but the master has a capability" \
    python3 -c 'import json
for p in json.load(open("/var/sgtest/sandbox.json"))["processes"]:
    if p["role"] != "master" and p["root"] != "/":
        assert int(p["cap_effective"], 16) == 0 == int(p["cap_ambient"], 16) == int(p["cap_permitted"], 16), p
    assert p["role"] != "master" or p["user"] == "storegrid", p'
check "an account" storegridctl account add acme
storegridctl client add acme/ct --host 127.0.0.1 >/var/sgtest/token 2>/dev/null
check "enrol" storegrid enrol --token-file /var/sgtest/token
check "backup" storegrid backup --job t /usr/share/doc/bash /usr/include
mkdir /var/sgtest/restored
check "restore" storegrid restore latest --to /var/sgtest/restored
check "the same" diff -r --no-dereference /usr/include /var/sgtest/restored/usr/include
check "the vault is its own user's" test "$(stat -c %U /var/lib/storegrid/vaults)" = _storegrid-store
check "reload" systemctl reload storegridd.service
check "restart" systemctl restart storegridd.service
check "the dialer came again, too" pid dialer
check "the snapshot is still there" sh -c 'storegrid snapshots | grep -q include'
mkdir -p /etc/storegrid
echo 'Ports: { Server = 32104; };' >/etc/storegrid/SGConfiguration.conf
systemctl restart storegridd.service && no "a port that differs from the socket unit stops the start" ||
    yes "a port that differs from the socket unit stops the start"
sleep 0.5
journalctl -b --no-pager -u storegridd >/var/sgtest/journal
check "and the message names the key" grep -q 'Ports.Server' /var/sgtest/journal
check "and what to do" grep -q 'systemctl edit storegridd-backup.socket' /var/sgtest/journal
EOF
timeout 240 systemd-nspawn -q --directory="$r" --private-network --register=no \
	--keep-unit --boot -M "sgtest$$" systemd.unit=sgtest.target \
	>"$T/nspawn.log" 2>&1 </dev/null
if [ -s "$r/var/sgtest/out" ]; then
	while read -r line; do
		case $line in
		"ok - "*) ok "${line#ok - }" ;;
		"not ok - "*) not_ok "${line#not ok - }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$r/var/sgtest/out"
	sed 's/^/# /' "$r/var/sgtest/err" | head -n 20
else
	not_ok "the container ran"
	tail -n 20 "$T/nspawn.log" | sed 's/^/# /'
fi
