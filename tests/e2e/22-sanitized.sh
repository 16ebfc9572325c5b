#!/bin/bash
# The way of the data and all attacks once more, by programs that were built with
# AddressSanitizer and UndefinedBehaviorSanitizer: none of them may find anything.
#
# Needs the build of runtests' part "sanitize" ($work/asan, or SANITIZED=DIR).
. "$(dirname "$0")/lib.sh"

SANITIZED=${SANITIZED:-${work:-$here/build-test}/asan}
if [ ! -x "$SANITIZED/storegridd" ] || [ ! -x "$SANITIZED/tests/fault/hostile" ]; then
	tap=1
	echo "ok 1 - the sanitized build is there # SKIP not built"
	exit 0
fi
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1

# Each script's own directory lies in this test's, kept so that its log can be read.
again() { # SCRIPT VARIABLES...: all its tests pass, and no sanitizer spoke
	local script=$1 code n found
	shift
	mkdir -m 711 "$T/$script"
	env BUILD="$SANITIZED" KEEP=1 TMPDIR="$T/$script" "$@" \
		timeout 400 bash "$here/tests/e2e/$script" >"$T/$script.out" 2>&1
	code=$?
	n=$(grep -c '^ok ' "$T/$script.out")
	if [ "$code" = 0 ] && [ "$n" -gt 0 ] && ! grep -q '^not ok ' "$T/$script.out"; then
		ok "$script under sanitizers: $n tests"
	else
		not_ok "$script under sanitizers (exit $code after $n tests)"
		grep -A 8 '^not ok ' "$T/$script.out" | sed 's/^/# /' | head -n 60
	fi
	found=$(grep -rlE 'ERROR: (Address|Leak)Sanitizer|runtime error:|Sanitizer: ?DEADLYSIGNAL' \
		"$T/$script.out" "$T/$script" --include='*.log' --include='*.out' \
		--include='*.err' 2>/dev/null)
	if [ -z "$found" ]; then
		ok "$script: no sanitizer has found anything"
	else
		not_ok "$script: no sanitizer has found anything"
		grep -hE -A 12 'ERROR: (Address|Leak)Sanitizer|runtime error:' $found |
			sed 's/^/# /' | head -n 60
	fi
}

again 10-backup-restore.sh
again 30-hostile.sh MUTATE=100
