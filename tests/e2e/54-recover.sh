#!/bin/bash
# The machine is gone: a token and the recovery key bring its files back on another,
# and the keys of the old one are worth nothing any more.
. "$(dirname "$0")/lib.sh"

# Failed log-ins would keep this address out for a while.
write_conf 'Limits: { Exempt = ["127.0.0.0/8"]; };'
start_server || { not_ok "the server starts"; exit 1; }
new_client c1 >/dev/null 2>&1 || { not_ok "a client enrols"; exit 1; }
src=$T/src
mkdir -p "$src/dir"
head -c 700000 /dev/urandom >"$src/dir/a"
python3 - "$src" <<'EOF2'
import os, sys
for i in range(300):
    open(f"{sys.argv[1]}/{i}", "wb").write(os.urandom(1000))
EOF2
chmod 640 "$src/dir/a"
check "a backup" sg c1 backup --job t "$src"
check_says "which reminds of the recovery key" 'export-recovery'
recovery_of() {
	sg "$1" key export-recovery --json 2>/dev/null |
		sed -n 's/.*"recovery_key":"\([^"]*\)".*/\1/p'
}
recovery_of c1 >"$T/recovery"
check "key export-recovery prints a key" test -s "$T/recovery"
check "and another backup does not remind" sg c1 backup --job t "$src"
if grep -q 'export-recovery' "$T/check.out"; then not_ok "no reminder"; else ok "no reminder"; fi

home() {
	rm -rf "${T:?}/$1"
	mkdir "$T/$1"
	echo "Paths: { Programs = \"$BUILD\"; };" >"$T/$1/SGConfiguration.conf"
}
token() { ctl token add acme/c1 >"$T/$1.token" 2>/dev/null; }

# --- what does not work ---
home new
token wrong
tr '2-7a-y0A-Y' '3-7a2b-z1B-Z' <"$T/recovery" >"$T/typo"
check_exit "a recovery key with typing errors: exit 12" 12 \
	sg new recover --token-file "$T/wrong.token" --recovery-file "$T/typo"
note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-200)"
sg c1 snapshots >"$T/check.out" 2>&1 && ok "after typing errors the old machine still works" ||
	not_ok "after typing errors the old machine still works"
new_client c9 >/dev/null 2>&1
recovery_of c9 >"$T/others"
home new2
token wrong2
check_exit "the recovery key of another client: exit 12" 12 \
	sg new2 recover --token-file "$T/wrong2.token" --recovery-file "$T/others"
note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-200)"
check_says "and says that it does not open the vault" '(does not open|wrong|not.*key)'

# --- what does ---
if [ -e "$T/new2/client" ]; then
	check "the right key, without another token" \
		sg new2 recover --continue --recovery-file "$T/recovery"
	check "it sees the snapshots" sg new2 snapshots
fi
home bare
token bare
check "recover in an empty home" sg bare recover --token-file "$T/bare.token" --recovery-file "$T/recovery"
check "its snapshots are there" sg bare snapshots
check_says "with their job" "$src"
mkdir "$T/out"
check "a restore" sg bare restore latest --to "$T/out"
check "is what the old machine had" same_tree "$src" "$T/out$src"
check "check --read-data with the recovered keys" sg bare check --read-data
date >"$src/dir/new"
check "and backups go on" sg bare backup --job t "$src"
n=$(sg bare snapshots --json 2>/dev/null | grep -c '"type":"snapshot"')
if [ "$n" = 3 ]; then ok "in the same vault"; else not_ok "in the same vault ($n snapshots)"; fi

# --- the old machine ---
for verb in "backup --job t $src" "snapshots" "restore latest --to $T/out3"; do
	# shellcheck disable=SC2086
	check_exit "the old machine, ${verb%% *}: exit 12" 12 sg c1 $verb
done
note "$(head -n 1 "$T/check.out" | cut -c1-200)"
check_exit "a token works once" 12 sg new recover --token-file "$T/bare.token" --recovery-file "$T/recovery"
check_exit "recover where a client is already: exit 2" 2 \
	sg bare recover --token-file "$T/bare.token" --recovery-file "$T/recovery"

# --- a clone: the same home, another machine id ---
cp -a "$T/bare" "$T/clone"
tr -d - </proc/sys/kernel/random/uuid >"$T/machine-id"
as_clone() {
	STOREGRID_HOME=$T/clone unshare -m sh -c \
		'mount --bind "$1" /etc/machine-id && shift && exec "$@"' sh "$T/machine-id" \
		"$BUILD/storegrid" "$@"
}
as_clone backup --job t "$src" >"$T/check.out" 2>&1
code=$?
if [ "$code" != 0 ] && grep -qi 'machine' "$T/check.out"; then
	ok "a cloned machine stops with advice (exit $code)"
else
	not_ok "a cloned machine stops with advice (exit $code)"
fi
note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-300)"
check "the original goes on" sg bare backup --job t "$src"

# --- passphrase ---
echo "correct horse battery" >"$T/pass"
check "key passwd" sg bare key passwd --passphrase-file "$T/pass"
home third
token third
check "recover with the passphrase" sg third recover --token-file "$T/third.token" --passphrase-file "$T/pass"
check "and it reads" sg third check --read-data
