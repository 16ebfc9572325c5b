#!/bin/bash
# Somebody who is not root enrols, backs up and restores; what cannot be read is listed
# and makes exit 3.
. "$(dirname "$0")/lib.sh"

# An id that nobody has.
ID=$((61000 + RANDOM % 2000))
while getent passwd $ID >/dev/null; do ID=$((ID + 1)); done
as_user() { setpriv --reuid $ID --regid $ID --clear-groups --inh-caps=-all -- "$@"; }
user_sg() {
	as_user env -i HOME="$T/home" PATH="$PATH" "$BUILD/storegrid" "$@"
}

write_conf
start_server || { not_ok "the server starts"; exit 1; }
ctl account add acme >/dev/null
chmod 755 "$T"
mkdir "$T/home" "$T/out"
src=$T/home/files
mkdir -p "$src/dir" "$src/shut" "$T/home/.config/storegrid"
head -c 900000 /dev/urandom >"$src/dir/big"
for i in $(seq 200); do echo "file $i" >"$src/dir/$i"; done
ln -s dir/1 "$src/link"
ln "$src/dir/2" "$src/dir/hard"
as_user true || { not_ok "setpriv works"; exit 1; }
setfattr -n user.note -v mine "$src/dir/3"
touch -d '2001-02-03 04:05:06.789' "$src/dir/4"
mkfifo "$src/fifo"
echo "Paths: { Programs = \"$BUILD\"; };" >"$T/home/.config/storegrid/SGConfiguration.conf"
chown -R $ID:$ID "$T/home" "$T/out"
if ! as_user test -x "$BUILD/storegrid"; then
	# a build directory that only root may enter: programs are put where all may
	mkdir "$T/programs"
	cp "$BUILD"/storegrid "$BUILD"/sg-* "$T/programs"
	sed -i "s|$BUILD|$T/programs|" "$T/home/.config/storegrid/SGConfiguration.conf"
	user_sg() {
		as_user env -i HOME="$T/home" PATH="$PATH" "$T/programs/storegrid" "$@"
	}
fi
conf=$T/home/.config/storegrid/SGConfiguration.conf
ctl client add acme/user >"$T/user.token" 2>/dev/null
as_user env -i HOME="$T/home" "$(sed -n 's/.*"\(.*\)".*/\1/p' "$conf")/storegrid" enrol -f "$conf" --token-file - \
	<"$T/user.token" >"$T/check.out" 2>&1 && ok "an ordinary user enrols" || {
	not_ok "an ordinary user enrols"
	sed 's/^/# /' "$T/check.out"
}
mine() {
	[ -n "$(find "$T/home/.config/storegrid" -name keys)" ] &&
		[ -z "$(find "$T/home/.config/storegrid" -name keys \( -perm /077 -o ! -uid $ID \))" ]
}
check "the keys are the user's alone" mine
check "a backup" user_sg backup -f "$conf" --job home "$src"
check "a restore" user_sg restore -f "$conf" latest --to "$T/out"
check "is the same" same_tree "$src" "$T/out$src"
check "check --read-data" user_sg check -f "$conf" --read-data
check "an unchanged backup" user_sg backup -f "$conf" --job home "$src"

# --- below what may be passed and not listed, as a /home of others often is ---
chmod 711 "$T"
check "a backup below a directory that it may pass and not list" \
	user_sg backup -f "$conf" --job home "$src"
chmod 755 "$T"

# --- what cannot be read ---
echo secret >"$src/roots"
chown 0:0 "$src/roots"
chmod 600 "$src/roots"
echo hidden >"$src/shut/inside"
chown 0:0 "$src/shut"
chmod 700 "$src/shut"
chmod 000 "$src/dir/7"
check_exit "a backup with files that it cannot read: exit 3" 3 \
	user_sg backup -f "$conf" --job home --json "$src"
for n in roots shut dir/7; do
	check_says "$n is listed" "\"type\":\"skipped\".*\"$src/$n\""
done
check_says "with the reason" '[Pp]ermission denied'
check_says "and the snapshot is made" '"type":"summary".*"skipped":3.*"code":3'
rm -rf "$T/out"
mkdir "$T/out"
chown $ID:$ID "$T/out"
user_sg restore -f "$conf" latest --to "$T/out" >"$T/check.out" 2>&1
code=$?
note "restore of that snapshot: exit $code"
check "what could be read is in it" cmp "$src/dir/big" "$T/out$src/dir/big"

new_client c1 >/dev/null 2>&1
check_exit "a home of root is not the user's to use" 1 \
	as_user env -i STOREGRID_HOME="$T/c1" "$BUILD/storegrid" snapshots
note "$(head -n 1 "$T/check.out")"

# --- how its processes are kept apart: one user, no capability, filters all the same ---
head -c 300000000 /dev/zero | openssl enc -aes-128-ctr -nosalt -k x 2>/dev/null >"$src/large"
chown $ID:$ID "$src/large"
user_sg backup -f "$conf" --job home "$src" >/dev/null 2>&1 &
back=$!
seen=
for _ in $(seq 200); do
	for p in /proc/[0-9]*; do
		read -r name 2>/dev/null <"$p/comm" || continue
		case $name in sg-engine | sg-net) ;; *) continue ;; esac
		awk -v id=$ID '
			/^Uid:/ { mine = ($2 == id) }
			/^NoNewPrivs:/ { nnp = $2 }
			/^Seccomp:/ { mode = $2 }
			/^CapEff:|^CapPrm:|^CapAmb:/ { if ($2 !~ /^0*$/) caps = 1 }
			END { exit !(mine && nnp == 1 && mode == 2 && !caps) }' "$p/status" 2>/dev/null &&
			seen="$seen $name"
	done
	case $seen in *sg-engine*sg-net* | *sg-net*sg-engine*) break ;; esac
	kill -0 $back 2>/dev/null || break
done
wait $back
case $seen in
*sg-engine*sg-net* | *sg-net*sg-engine*) ok "engine and net run filtered, without capabilities" ;;
*) not_ok "engine and net run filtered, without capabilities (seen:$seen)" ;;
esac
