#!/bin/bash
# The disk fails under the real store: a failed sync of a pack fails the run and
# nothing else; one of the journal makes the vault read-only until it is opened
# again. What was said to be committed stays whole.
. "$(dirname "$0")/lib.sh"
# The real programs, but for the syncs of one: tests/fault/store_eio.c.
[ -x "$BUILD/tests/fault/store_eio" ] ||
	make -s -C "$BUILD" tests/fault/store_eio >"$T/make.log" 2>&1
mkdir "$T/bin"
cp "$BUILD"/storegrid* "$BUILD"/sg-* "$T/bin/" 2>/dev/null
cp "$BUILD/tests/fault/store_eio" "$T/bin/sg-store" ||
	{ not_ok "the store with a bad disk is built"; exit 1; }
BUILD=$T/bin
trap finish EXIT

write_conf
start_server || { not_ok "the server starts"; exit 1; }
new_client disk >/dev/null 2>&1 || { not_ok "a client enrols"; exit 1; }
mkdir "$T/tree"
head -c 3000000 /dev/urandom >"$T/tree/one"
for i in $(seq 50); do echo "file $i" >"$T/tree/f$i"; done
check "a first backup" sg disk backup "$T/tree"

# faulty FILES...: their syncs fail from now on
faulty() { chmod g+r "$@"; }
healthy() { chmod g-r "$@"; }
vault=$(echo "$T"/state/vaults/*)

echo changed >"$T/tree/f1"
head -c 2000000 /dev/urandom >"$T/tree/two"
faulty "$vault"/packs/*/*
timeout 60 env STOREGRID_HOME="$T/disk" "$BUILD/storegrid" backup \
	"$T/tree" >"$T/check.out" 2>&1
code=$?
healthy "$vault"/packs/*/*
if [ "$code" != 0 ]; then
	ok "a backup fails when a pack cannot be synced (exit $code)"
else
	not_ok "a backup fails when a pack cannot be synced"
fi
in_log "and the log tells" 'role=store .*packs could not be synced'
check "the next backup, into another pack, succeeds" sg disk backup "$T/tree"
mkdir "$T/out"
check "and comes back" sg disk restore latest --to "$T/out"
check "as it was" same_tree "$T/tree" "$T/out$T/tree"

head -c 1000000 /dev/urandom >"$T/tree/three"
faulty "$vault"/journal/*
timeout 60 env STOREGRID_HOME="$T/disk" "$BUILD/storegrid" backup \
	"$T/tree" >"$T/check.out" 2>&1
code=$?
healthy "$vault"/journal/*
if [ "$code" != 0 ]; then
	ok "a backup fails when the journal cannot be synced (exit $code)"
else
	not_ok "a backup fails when the journal cannot be synced"
fi
in_log "the vault is read-only then, and the log tells" \
	'role=store .*read-only from now on: the journal'
if timeout 60 env STOREGRID_HOME="$T/disk" "$BUILD/storegrid" backup \
	"$T/tree" >"$T/check.out" 2>&1; then
	not_ok "nothing more is committed"
else
	ok "nothing more is committed"
fi
rm -rf "$T/out"
mkdir "$T/out"
check "what was committed is served" sg disk restore latest --to "$T/out"
check "the file of the failed run is not in it" \
	test ! -e "$T/out$T/tree/three"
stop_server
start_server || { not_ok "the server starts again"; exit 1; }
check "opened again, the vault takes a backup" sg disk backup "$T/tree"
rm -rf "$T/out"
mkdir "$T/out"
check "which comes back" sg disk restore latest --to "$T/out"
check "as it is" same_tree "$T/tree" "$T/out$T/tree"
check "and everything is in order" sg disk check --read-data
