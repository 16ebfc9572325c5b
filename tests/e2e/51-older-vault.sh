#!/bin/bash
# A vault that was put back to an older copy, that is not there, or that is another's:
# the client that knew better says so, and nothing is made anew.
. "$(dirname "$0")/lib.sh"

write_conf
start_server || { not_ok "the server starts"; exit 1; }
new_client c1 >/dev/null 2>&1 || { not_ok "a client enrols"; exit 1; }
new_client c2 >/dev/null 2>&1 || { not_ok "another client enrols"; exit 1; }
src=$T/src
mkdir "$src"
head -c 400000 /dev/urandom >"$src/a"
echo one >"$src/b"
check "a backup" sg c1 backup --job t "$src"
check "a backup of another job" sg c1 backup --job other "$src/b"
check "a backup of another client" sg c2 backup --job t "$src"
vault_of() { # CLIENT
	ctl vault list --json |
		sed -n "s/.*\"vault\":\"\([0-9a-f]*\)\"[^}]*\"name\":\"$1\".*/\1/p"
}
id1=$(vault_of c1)
id2=$(vault_of c2)
[ -n "$id1" ] && [ -n "$id2" ] || { not_ok "vault list names the vaults"; exit 1; }
v1=$T/state/vaults/$id1
v2=$T/state/vaults/$id2
stop_server
cp -a "$v1" "$T/copy"

# --- an older copy ---
start_server
echo two >"$src/b"
check "another backup, after the vault was copied" sg c1 backup --job t "$src"
stop_server
mv "$v1" "$T/newer"
cp -a "$T/copy" "$v1"
start_server
cp -a "$T/c1" "$T/c1.home"
older() { # NAME COMMAND...
	local name=$1
	shift
	check_exit "$name: exit 15" 15 "$@"
	check_says "$name: a sentence says it" '(older|earlier|put back|behind|went back|missing).*'
	note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-300)"
}
mkdir "$T/out"
older "restore latest of the older copy" sg c1 restore latest --to "$T/out"
older "restore latest of that job" sg c1 restore -j t latest --to "$T/out"
older "check of the older copy" sg c1 check
older "check --read-data of the older copy" sg c1 check --read-data
older "snapshots of the older copy" sg c1 snapshots
older "a backup into the older copy" sg c1 backup --job t "$src"
sg c1 backup --job t "$src" >/dev/null 2>&1
older "and once more: it is not forgotten by trying again" sg c1 backup --job t "$src"
older "restore latest, still" sg c1 restore latest --to "$T/out"
mkdir "$T/out2"
named() {
	local id
	id=$(sg c1 snapshots --json 2>/dev/null | sed -n 's/.*"type":"snapshot".*"\(id\|snapshot\)":"\([0-9a-f]*\)".*/\2/p' | head -n 1)
	[ -n "$id" ] && sg c1 restore "${id:0:16}" --to "$T/out2" &&
		cmp "$src/a" "$T/out2$src/a"
}
check "what is in the older copy restores when it is asked for by its id" named
check "another client does not mind" sg c2 backup --job t "$src"
stop_server
rm -rf "$v1" "$T/c1"
mv "$T/c1.home" "$T/c1"
mv "$T/newer" "$v1"
start_server
check "with the right vault again, a backup succeeds" sg c1 backup --job t "$src"

# --- no vault ---
stop_server
mv "$v1" "$T/away"
start_server
check "the server starts without one of its vaults" ctl status
sg c1 backup --job t "$src" >"$T/check.out" 2>&1 && not_ok "a backup into a vault that is gone"
check_says "a vault that is gone: asks whether the disk is mounted" 'mounted\?'
note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-300)"
sg c1 restore latest --to "$T/out" >"$T/check.out" 2>&1 && not_ok "a restore from a vault that is gone"
check_says "a restore asks it, too" 'mounted\?'
in_log "and so does the log" 'mounted\?'
check "it was not made anew" test ! -e "$v1"
mkdir -m 700 "$v1"
chown --reference="$T/away" "$v1"
sg c1 backup --job t "$src" >"$T/check.out" 2>&1 && not_ok "a backup into an empty mount point"
check_says "an empty directory in its place: the same question" 'mounted\?'
check "it stays empty" test -z "$(ls -A "$v1")"
check "another client does not mind that either" sg c2 backup --job t "$src"

# --- another's vault ---
stop_server
rmdir "$v1"
cp -a "$v2" "$v1"
start_server
sg c1 backup --job t "$src" >"$T/check.out" 2>&1 && not_ok "a backup into another's vault"
note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-300)"
check_says "another vault in its place is refused" 'mounted\?'
stop_server
same() { diff -r -x LOCK -x index -x runs "$v2" "$v1"; }
check "and was not written to" same
rm -rf "$v1"
mv "$T/away" "$v1"
start_server
check "with its own vault again, a backup succeeds" sg c1 backup --job t "$src"
check "and check is clean" sg c1 check --read-data
