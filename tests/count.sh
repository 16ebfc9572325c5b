# Counting for runtests: programs and scripts that print TAP, and those that only
# exit. Sourced; sets nothing else.
passed=0 failed=0 skipped=0
failures=

pass() { passed=$((passed + 1)); printf 'ok - %s\n' "$1"; }
fail() {
	failed=$((failed + 1))
	failures="$failures
  $1"
	printf 'not ok - %s\n' "$1"
}
skip() { # skip NAME: allowed only if tests/skips names it
	if grep -q -F -x -- "$1" "$here/tests/skips"; then
		skipped=$((skipped + 1))
		printf 'ok - %s # SKIP\n' "$1"
	else
		fail "$1 (skipped, but tests/skips does not allow it)"
	fi
}

# run_tap PREFIX COMMAND...: count its "ok" and "not ok" lines; an exit status
# other than 0 with no "not ok", or no line at all, is a failure of its own.
run_tap() {
	local prefix=$1 name out code line n=0 bad=0 what
	shift
	name=$(basename "${@: -1}")
	out=$work/out.$prefix.$name
	out=${out// /_}
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 900 "$@" >"$out" 2>"$out.err" </dev/null
	code=$?
	while IFS= read -r line; do
		case $line in
		"ok "*"# SKIP"* | "ok "*"# skip"*)
			what=${line#ok }
			what=${what%% #*}
			skip "$prefix/$name: ${what#* - }"
			n=$((n + 1))
			;;
		"ok "*) passed=$((passed + 1)); n=$((n + 1)) ;;
		"not ok "*)
			what=${line#not ok }
			fail "$prefix/$name: ${what#* - }"
			n=$((n + 1))
			bad=1
			;;
		esac
	done < <(cat "$out" "$out.err")
	if [ "$bad" = 1 ]; then
		tail -n 40 "$out.err"
	elif [ "$code" != 0 ] || [ "$n" = 0 ]; then
		tail -n 40 "$out" "$out.err"
		fail "$prefix/$name: exit status $code after $n tests"
	else
		printf 'ok - %s/%s: %d tests\n' "$prefix" "$name" "$n"
	fi
}

# run_exit PREFIX PROGRAM: one test, told by its exit status
run_exit() {
	local name
	name=$(basename "$2")
	if timeout 300 "$2" >"$work/out.$1.$name" 2>&1 </dev/null; then
		pass "$1/$name"
	else
		tail -n 30 "$work/out.$1.$name"
		fail "$1/$name"
	fi
}

# run_fuzz PREFIX TARGET: replays its corpus.
run_fuzz() {
	local prefix=$1 target=$2 name
	name=$(basename "$target")
	if timeout 300 "$target" "$here/tests/fuzz/corpus/${name%_fuzz}" \
	    >"$work/out.fuzz.$name" 2>&1 </dev/null; then
		pass "$prefix/$name"
	else
		tail -n 20 "$work/out.fuzz.$name"
		fail "$prefix/$name"
	fi
}

summary() {
	[ "$failed" = 0 ] || printf 'Failed:%s\n' "$failures"
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}
