#!/bin/bash
# What make install lays out, and how each program in it was built: what of the
# hardening can be read from the files themselves.
. "$(dirname "$0")/lib.sh"

inst=$T/inst
check "make install" make -s -C "$BUILD" install DESTDIR="$inst"

# --- where everything lies ---
prefix=$(sed -n 's/^prefix = //p' "$BUILD/Makefile")
sysconf=$(sed -n 's/^sysconfdir = //p' "$BUILD/Makefile")
sysconf=${sysconf//'${prefix}'/$prefix}
programs="sg-auth sg-catalog sg-confparse sg-dialer sg-discover sg-engine sg-http sg-keyd
	sg-listener sg-logger sg-login sg-net sg-peer sg-resolve sg-seek sg-session sg-store"
layout() {
	local f bad=0
	for f in bin/storegrid sbin/storegridd sbin/storegridctl \
	    $(printf 'libexec/storegrid/%s ' $programs) \
	    lib/systemd/system/storegridd.service \
	    lib/systemd/system/storegridd-backup.socket \
	    lib/systemd/system/storegridd-ssl.socket \
	    lib/systemd/system/storegridd-gui.socket \
	    lib/systemd/system/storegridd-discovery.socket \
	    lib/systemd/system/storegridd-scan.socket \
	    lib/systemd/system/storegridd-dialer.socket \
	    lib/systemd/system/storegridd-dialer.service \
	    lib/systemd/system/storegridd-control.socket \
	    lib/sysusers.d/storegrid.conf lib/tmpfiles.d/storegrid.conf \
	    share/man/man1/storegrid.1 share/man/man5/SGConfiguration.conf.5 \
	    share/man/man8/storegridd.8 share/man/man8/storegridctl.8; do
		[ -f "$inst$prefix/$f" ] || { echo "not there: $prefix/$f"; bad=1; }
	done
	[ -f "$inst$sysconf/storegrid/SGConfiguration.conf" ] ||
		{ echo "not there: $sysconf/storegrid/SGConfiguration.conf"; bad=1; }
	return $bad
}
check "all is where it belongs" layout

elfs=$(find "$inst" -type f -perm -100 -print | while read -r f; do
	[ "$(head -c 4 "$f" | tail -c 3)" = ELF ] && echo "$f"
done | sort)
want=$(printf '%s\n' storegrid storegridctl storegridd $programs | sort)
got=$(for f in $elfs; do basename "$f"; done | sort)
check "these programs and no other" diff <(echo "$want") <(echo "$got")

no_right_too_many() {
	local bad
	bad=$(find "$inst" \( -perm /7000 -o -perm /022 \) ! -type l -print
	    for f in $elfs; do getcap "$f"; done)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}
check "no set-id bit, no capability, nothing that others may write" no_right_too_many

# --- how each was built ---
# each NAME COMMAND: the command succeeds for every program, its path the argument
each() {
	local name=$1 f bad=
	shift
	for f in $elfs; do
		"$@" "$f" || bad="$bad ${f##*/}"
	done
	if [ -n "$elfs" ] && [ -z "$bad" ]; then
		ok "$name"
	else
		not_ok "$name"
		note "not:$bad"
	fi
}
header() { readelf -hW "$1"; }
segments() { readelf -lW "$1"; }
dynamic() { readelf -dW "$1"; }
undefined() { nm -D --undefined-only "$1"; }

pie() { header "$1" | grep -q 'Type: *DYN' && dynamic "$1" | grep -q 'Flags:.* PIE'; }
relro() { segments "$1" | grep -q GNU_RELRO; }
bind_now() { dynamic "$1" | grep -q '(FLAGS).*BIND_NOW' && dynamic "$1" | grep -q 'Flags:.*NOW'; }
stack_data() { segments "$1" | grep GNU_STACK | grep -q ' RW  '; }
no_rwx() { ! segments "$1" | grep -E '^ +LOAD' | grep -q ' RWE '; }
# the first page of code is not that of the headers or of constant data
code_apart() { ! segments "$1" | grep -E '^ +LOAD +0x0+ ' | grep -q ' R E '; }
protector() { undefined "$1" | grep -q ' __stack_chk_fail'; }
fortified() { undefined "$1" | grep -qE ' __(v?snprintf|memcpy|memset|read|fprintf)_chk'; }
no_path() { ! dynamic "$1" | grep -qE '\((RPATH|RUNPATH|TEXTREL)\)'; }
cet() { readelf -nW "$1" | grep -q 'x86 feature:.*IBT.*SHSTK'; }
not_traced() { ! undefined "$1" | grep -qE ' __(asan|ubsan|sanitizer|gcov)_'; }

each "position-independent" pie
each "relocated data becomes read-only" relro
each "all symbols are bound at the start" bind_now
each "no executable stack" stack_data
each "nothing is writable and executable" no_rwx
each "code is mapped apart from everything else" code_apart
each "stack protector" protector
each "checked calls of the C library" fortified
each "no search path of its own, no relocation of code" no_path
each "no sanitizer, no counter" not_traced
case $(uname -m) in
x86_64) each "indirect branches and returns are marked for the processor" cet ;;
esac

# A library that a process has is one that can be attacked in it.
needs() { # LIBRARY PROGRAMS...: they alone are linked with it
	local lib=$1 f got
	shift
	got=$(for f in $elfs; do
		dynamic "$f" | grep -q "(NEEDED).*\[$lib\.so" && basename "$f"
	done | sort | tr '\n' ' ')
	[ "$got" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ] ||
		{ echo "$lib: $got"; return 1; }
}
check "TLS is in the workers that speak it alone" needs libssl sg-http sg-net sg-peer sg-session
check "SQLite is in auth and catalog alone" needs libsqlite3 sg-auth sg-catalog
check "libconfig is in confparse alone" needs libconfig sg-confparse
no_shell() {
	local f bad=0
	for f in $elfs; do
		undefined "$f" | grep -E ' (system|popen|posix_spawnp?|execl[pe]?|execvp|dlopen)(@|$)' &&
			{ echo "${f##*/}"; bad=1; }
	done
	return $bad
}
check "no program can start a shell or load code by itself" no_shell

# --- and gone again ---
nothing_left() {
	local left
	make -s -C "$BUILD" uninstall DESTDIR="$inst" >/dev/null 2>&1 || return 1
	left=$(find "$inst" ! -type d)
	[ -z "$left" ] || { echo "$left"; return 1; }
}
check "make uninstall leaves no file" nothing_left
