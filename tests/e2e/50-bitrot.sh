#!/bin/bash
# One byte of a vault changes: it is reported, the files it touches are named, and
# the rest restores. Where the byte is none of an object's, nothing is lost at all.
#
# FLIPS (40): bytes of a random sample; SEED: which.
. "$(dirname "$0")/lib.sh"
FLIPS=${FLIPS:-40}
SEED=${SEED:-$RANDOM}
vault_tool() { python3 "$here/tests/fault/integ_vault.py" "$@"; }

write_conf
start_server || { not_ok "the server starts"; exit 1; }
new_client c1 >/dev/null 2>&1 || { not_ok "a client enrols"; exit 1; }
src=$T/src
mkdir "$src"
python3 - "$src" <<'EOF2'
import os, random, sys
r, d = random.Random(5), sys.argv[1]
for n in range(24):
    os.mkdir(f"{d}/{n:02}")
    for i in range(12):
        open(f"{d}/{n:02}/{i:02}", "wb").write(r.randbytes(r.randrange(100, 30000)))
for i in range(3):
    open(f"{d}/mid{i}", "wb").write(r.randbytes(300000 + i))
open(f"{d}/many-chunks", "wb").write(r.randbytes(24 << 20))
open(f"{d}/many-more", "wb").write(r.randbytes(42 << 20))
EOF2
check "a backup" sg c1 backup --job t "$src"
rm "$src/01/03"
echo changed >"$src/02/04"
check "and another" sg c1 backup --job t "$src"
# A small index is made at the second start only.
stop_server
start_server
sg c1 snapshots >/dev/null 2>&1
stop_server
v=$(echo "$T"/state/vaults/*)
check "the vault is what VAULT-FORMAT.md says, to a second reader of it" vault_tool verify "$v"
note "$(cat "$T/check.out")"
mkdir "$T/whole"
cp -a "$v" "$T/whole"
whole=$T/whole/$(basename "$v")
vault_tool places "$v" >"$T/places" || not_ok "places to damage are found"

# damage CLASS-PATTERN [lost]: a fresh copy of the vault, changed at those places;
# lost: and without its index, which is then made again from what is damaged
damage() {
	stop_server
	rm -rf "$v"
	cp -a "$whole" "$v"
	grep -E "^($1)" "$T/places" | while read -r _ file at _; do
		vault_tool flip "$file" "$at" 0x10
	done
	[ "${2:-}" != lost ] || rm -f "$v"/index/*
	start_server
}
look() {
	sg c1 check --read-data --json >"$T/check.json" 2>"$T/check.err"
	ccode=$?
	rm -rf "$T/out"
	mkdir "$T/out"
	sg c1 restore latest --to "$T/out" --json >"$T/restore.json" 2>"$T/restore.err"
	rcode=$?
}
show() {
	tail -n 2 "$T/check.json" "$T/restore.json" | cut -c1-400 | sed 's/^/# /'
}
judge() {
	python3 "$here/tests/fault/integ_judge.py" "$src" "$T/out$src" "$T/check.json" \
		"$ccode" "$T/restore.json" "$rcode" "$@"
}

unaffected() {
	[ "$ccode" = 15 ] || { echo "check: exit $ccode"; return 1; }
	[ "$rcode" = 0 ] || { echo "restore: exit $rcode"; return 1; }
	same_tree "$src" "$T/out$src"
}
older() {
	rm -rf "$T/out"
	mkdir "$T/out"
	sg c1 restore latest~1 --to "$T/out" && test -f "$T/out$src/01/03"
}

# --- objects that a snapshot needs ---
for index in kept lost; do
	for cls in data node; do
		damage "$cls\\." $index || { not_ok "the server starts with damage in $cls"; continue; }
		look
		n=$(grep -c "^$cls\\." "$T/places")
		check "index $index: $n changed bytes in $cls objects: each is reported, files named, the rest restored" \
			judge $(sed -n "s/^$cls\\..* //p" "$T/places")
		note "$(tail -n 1 "$T/check.out")"
	done
	damage 'root\.' $index
	look
	check "index $index: a changed byte in the root: reported" \
		judge $(sed -n 's/^root\..* //p' "$T/places")
	check "index $index: the snapshot before it restores whole" older
	damage 'prefix\.' $index
	look
	check "index $index: $(grep -c '^prefix' "$T/places") changed bytes in front of whole objects: reported, nothing lost" unaffected
	[ "$rcode" = 0 ] || show
	damage 'journal\.snapshot' $index
	look
	check "index $index: a changed byte in a snapshot's record: reported, the newest snapshot restores" unaffected
	[ "$ccode$rcode" = 150 ] || show
done
sg c1 backup --job t "$src" >"$T/check.out" 2>&1 && not_ok "a vault with a damaged journal is not written to"
check_says "a vault with a damaged journal is not written to" 'read-only'

# --- what is none of an object's ---
for cls in $(sed -n 's/^\(other\.[^ ]*\|journal.header\) .*/\1/p' "$T/places"); do
	damage "$cls " || { not_ok "the server starts with damage in $cls"; continue; }
	look
	check "a changed byte in ${cls#other.}: reported, restore unaffected" unaffected
	[ "$ccode$rcode" = 150 ] || show
done
# --- anywhere ---
# A byte of what is derived (index, LOCK, runs) is not reported: it is made again, and
# then everything reads. Neither is one of the journal's last record, as long as the
# record was taken back from its second copy.
vault_tool journal "$whole" >"$T/journal.whole"
stop_server
rm -rf "$v"
cp -a "$whole" "$v"
vault_tool random "$v" "$FLIPS" "$SEED" >"$T/sample"
bad=0
while read -r cls file at; do
	stop_server
	rm -rf "$v"
	cp -a "$whole" "$v"
	mask=$((1 << (RANDOM % 8)))
	vault_tool flip "$file" "$at" $mask
	what="$cls ${file#"$v"/} byte $at mask $mask"
	start_server || { bad=$((bad + 1)); note "$what: the server does not start"; continue; }
	sg c1 check --read-data >"$T/one.out" 2>&1
	code=$?
	case $cls:$code in
	*:15) ;;
	derived:0)
		rm -rf "$T/out"
		mkdir "$T/out"
		if ! sg c1 restore "latest:$src/07" --to "$T/out" >>"$T/one.out" 2>&1 ||
		    ! same_tree "$src/07" "$T/out" >>"$T/one.out" 2>&1; then
			bad=$((bad + 1))
			note "$what: not restored"
		fi ;;
	journal.last:0)
		stop_server
		vault_tool journal "$v" >"$T/journal.now" 2>&1
		head -n "$(wc -l <"$T/journal.whole")" "$T/journal.now" |
			cmp -s - "$T/journal.whole" || {
			bad=$((bad + 1))
			note "$what: the last record is not what it was"
			tail -n 2 "$T/journal.now" | sed 's/^/# /'
		} ;;
	pack.gap.content:0) ;;
	*)
		bad=$((bad + 1))
		note "$what: exit $code"
		tail -n 2 "$T/one.out" | sed 's/^/# /' ;;
	esac
done <"$T/sample"
if [ "$bad" = 0 ] && [ "$(wc -l <"$T/sample")" = "$FLIPS" ]; then
	ok "$FLIPS random bytes: each reported or without consequence (seed $SEED)"
else
	not_ok "$FLIPS random bytes: each reported or without consequence (seed $SEED, $bad not)"
fi
note "$(cut -d' ' -f1 "$T/sample" | sort | uniq -c | tr -s ' \n' ' ')"
if grep -E '(crash|seccomp-kill|role-killed) ' "$T/server.log" >"$T/check.out"; then
	not_ok "nothing crashed"
	sed 's/^/# /' "$T/check.out" | head -n 20
else
	ok "nothing crashed"
fi
