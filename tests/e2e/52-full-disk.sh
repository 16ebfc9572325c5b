#!/bin/bash
# Vaults on a file system of 64 MiB: a backup that does not fit ends with exit 14, the
# vault is whole, and the next run after making room succeeds. On tmpfs and on ext4,
# with a reserve and without one.
. "$(dirname "$0")/lib.sh"

mkdir "$T/disk"
end() {
	stop_server
	umount "$T/disk" 2>/dev/null
	finish
}
trap end EXIT
src=$T/src
mkdir -p "$src/small"
head -c 8000000 /dev/urandom >"$src/first"
python3 - "$src/small" <<'EOF2'
import os, sys
for i in range(500):
    open(f"{sys.argv[1]}/{i}", "wb").write(os.urandom(3000))
EOF2
conf() { # RESERVE
	write_conf "Quota: { Reserve = \"$1\"; };"
	sed -i "s|Paths: {|Paths: { Vaults = \"$T/disk/vaults\";|" "$CONF"
}
# Room is made by a larger file system, or by the end of what else lies on it.
tmpfs_small() { mount -t tmpfs -o size=64m,mode=711 tmpfs "$T/disk"; }
tmpfs_more() { mount -o remount,size=256m "$T/disk"; }
tmpfs_second=90000000
ext4_small() {
	truncate -s 64M "$T/ext4" && mkfs.ext4 -q -F "$T/ext4" &&
		mount -o loop "$T/ext4" "$T/disk" && chmod 711 "$T/disk" &&
		head -c 24000000 /dev/urandom >"$T/disk/else"
}
ext4_more() { rm "$T/disk/else"; }
ext4_second=32000000
try() { # FILE-SYSTEM RESERVE
	local fs=$1 second=${1}_second name="$1, reserve $2"
	rm -rf "$T/state" "$T/c1" "$T/out" "$src/second"
	conf "$2"
	check "$name: made" "${fs}_small"
	start_server || { not_ok "$name: the server starts"; return; }
	new_client c1 >/dev/null 2>&1 || { not_ok "$name: a client enrols"; return; }
	check "$name: a backup that fits" sg c1 backup --job t "$src"
	head -c "${!second}" /dev/urandom >"$src/second"
	check_exit "$name: a backup that does not: exit 14" 14 sg c1 backup --job t "$src"
	note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-300)"
	check_says "$name: says that space is used up" '(space|full)'
	check_exit "$name: again: exit 14" 14 sg c1 backup --job t "$src"
	check "$name: check --read-data is clean" sg c1 check --read-data
	mkdir "$T/out"
	mv "$src/second" "$T/second"
	check "$name: the snapshot before it restores" sg c1 restore latest --to "$T/out"
	check "$name: and is the same" test -z "$(diff -r "$src" "$T/out$src" 2>&1)"
	mv "$T/second" "$src/second"
	stop_server
	start_server || { not_ok "$name: the server starts with a full disk"; return; }
	check "$name: after a restart check is clean" sg c1 check --read-data
	check_exit "$name: and a backup ends with 14" 14 sg c1 backup --job t "$src"
	check "$name: room is made" "${fs}_more"
	check "$name: then the backup succeeds" sg c1 backup --job t "$src"
	check "$name: check --read-data is clean again" sg c1 check --read-data
	rm -rf "$T/out"
	mkdir "$T/out"
	check "$name: it restores" sg c1 restore latest --to "$T/out"
	check "$name: and is what it was" same_tree "$src" "$T/out$src"
	stop_server
	umount "$T/disk"
	rm -f "$T/ext4"
}
try tmpfs 8M
try ext4 0
if grep -E '(crash|seccomp-kill|role-killed) ' "$T/server.log" >"$T/check.out"; then
	not_ok "nothing crashed"
	sed 's/^/# /' "$T/check.out" | head -n 20
else
	ok "nothing crashed"
fi
