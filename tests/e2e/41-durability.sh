#!/bin/bash
# The page cache survives a SIGKILL, so what would survive a power cut is shown by
# the order of system calls: no COMMITTED before the syncs that it promises, not even
# when the process before was killed between making a name and syncing it.
#
# LONG=1 also kills at every data sync, and links a store without each kind of
# sync in turn: each of these must be found out.
. "$(dirname "$0")/lib.sh"

checker="$here/tests/fault/trace_check.py"
calls=openat,mkdirat,renameat,renameat2,fdatasync,fsync,write,pwrite64,sendmsg,ftruncate
tracer=

# trace_on FILE [STRACE OPTIONS...]: the master, each process it starts from now on,
# and the stores that run already
trace_on() {
	local out=$1 p
	shift
	for p in $(server_processes); do
		[ "$(readlink "/proc/$p/exe")" = "$BUILD/sg-store" ] && set -- "$@" -p "$p"
	done
	strace -f -qq -y -xx -s 80 -o "$out" -e trace=$calls "$@" -p "$server_pid" 2>"$T/strace.err" &
	tracer=$!
	for _ in $(seq 100); do
		grep -q "^TracerPid:[[:space:]]*[1-9]" "/proc/$server_pid/status" && return 0
		kill -0 "$tracer" 2>/dev/null || break
		sleep 0.05
	done
	cat "$T/strace.err"
	return 1
}

trace_off() {
	[ -n "$tracer" ] || return 0
	kill -INT "$tracer" 2>/dev/null
	wait_gone "$tracer" 10 || kill -KILL "$tracer"
	wait "$tracer" 2>/dev/null
	tracer=
}

# A scratch installation of its own for each trace, so that names are made anew.
fresh() {
	stop_server
	trace_off
	rm -rf --one-file-system "$T/state" "$T/run" "$T/c1"
	: >"$T/server.log"
	start_server
}

make_source() { # MEGABYTES
	rm -rf "$T/src"
	mkdir -p "$T/src/dir"
	head -c "$(($1 * 1000000))" /dev/urandom >"$T/src/big"
	for i in $(seq 100); do
		echo "file $i" >"$T/src/dir/$i"
	done
}
backup() { sg c1 backup --job t "$T/src"; }
change() { date +%N >"$T/src/dir/changed"; head -c 300000 /dev/urandom >"$T/src/other"; }

# three_backups TRACE: new, changed and unchanged; 70 MB fill and seal a pack
three_backups() {
	fresh && trace_on "$1" && new_client c1 && backup && change && backup && backup
	local rc=$?
	stop_server
	trace_off
	return $rc
}

write_conf
make_source 70
check "a first, a changed and an unchanged backup succeed under trace" three_backups "$T/trace"
check "no commit is answered before its syncs, and no sync could be left out" \
	python3 "$checker" "$T/trace" 3 --blind
sed 's/^/# /' "$T/check.out"

# killed CALL N: the store dies where it would enter that call for the N-th time
killed() {
	local at="$1:signal=KILL:when=$2" rc=0
	fresh && change && trace_on "$T/before" -e inject="$at" || return 1
	new_client c1
	backup
	trace_off
	trace_on "$T/after" || return 1
	sg c1 enrol --continue
	backup && change && backup || rc=1
	stop_server
	trace_off
	grep -q "killed.*store\|role=store.*signal=9" "$T/server.log" || note "nothing was killed at $at"
	[ $rc = 0 ] || { tail -n 5 "$T/server.log"; return 1; }
	cat "$T/before" "$T/after" >"$T/both"
	python3 "$checker" "$T/both" 2
}

# killed_at_each CALL: until there is no N-th one any more
killed_at_each() {
	local n
	for n in $(seq 24); do
		if ! killed "$1" "$n" >"$T/check.out" 2>&1; then
			not_ok "the store killed at its $1 number $n: the next commits sync what it left"
			sed 's/^/# /' "$T/check.out" | tail -n 20
			continue
		fi
		grep -q "nothing was killed" "$T/check.out" && break
		ok "the store killed at its $1 number $n: the next commits sync what it left"
	done
	check "there were moments to kill it at, and none is left out" test "$n" -gt 8 -a "$n" -lt 24
}

make_source 2
killed_at_each fsync
[ "${LONG:-}" = 1 ] && killed_at_each fdatasync

# A build that lacks one kind of sync, by the linker: the sources stay as they are.
without() { # KIND
	local wraps old
	# Only the last step is done again: a store of other sources than the rest
	# of the build would be refused.
	old=$(cd "$T/variant" && printf -- '-o %s ' Makefile build_id.h *.a server/store/*.o)
	wraps=$(printf -- '-Wl,--wrap=%s ' fdatasync fsync openat openat64)
	gcc -O1 -D"SKIP=$1" -c -o "$T/skip.o" "$here/tests/fault/trace_skip.c" || return 1
	rm -f "$T/variant/sg-store"
	# shellcheck disable=SC2086
	make -s -C "$T/variant" $old sg-store \
		LIBS="$T/skip.o $(sed -n 's/^LIBS = //p' "$T/variant/Makefile")" \
		LDFLAGS="$(sed -n 's/^LDFLAGS = //p' "$T/variant/Makefile") $wraps"
}
found_out() { # KIND
	without "$1" || return 1
	three_backups "$T/trace.$1" || return 1
	if python3 "$checker" "$T/trace.$1" 3 >"$T/verdict"; then
		cat "$T/verdict"
		return 1
	fi
	head -n 1 "$T/verdict"
}
if [ "${LONG:-}" = 1 ]; then
	make_source 2
	cp -a "$BUILD" "$T/variant"
	BUILD=$T/variant
	write_conf
	check "a store linked with the wrappers and no sync left out keeps the order" eval \
		'without NONE && three_backups "$T/trace.none" && python3 "$checker" "$T/trace.none" 3'
	for kind in DATA NODES JOURNAL NEW_DATA NEW_NODES NEW_JOURNAL IDENTITY DIR_VAULTS DIR_VAULT \
	    DIR_PACKS DIR_XXX DIR_JOURNAL; do
		check "a store that never syncs $kind is found out" found_out "$kind"
		sed 's/^/# /' "$T/check.out" | tail -n 1
	done
fi
