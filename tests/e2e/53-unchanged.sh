#!/bin/bash
# What did not change is neither read nor stored again, and an interrupted run goes on.
#
# FILES (20000): files of the tree.
. "$(dirname "$0")/lib.sh"
FILES=${FILES:-20000}

write_conf
start_server || { not_ok "the server starts"; exit 1; }
new_client c1 >/dev/null 2>&1 || { not_ok "a client enrols"; exit 1; }
# Tens of thousands of files are made and removed faster in memory.
mkdir "$T/fast"
mount -t tmpfs -o mode=711 tmpfs "$T/fast" || not_ok "a tmpfs for the tree"
end() {
	stop_server
	umount "$T/fast" 2>/dev/null
	finish
}
trap end EXIT
src=$T/fast/src
mkdir "$src"
cat >"$T/tree.py" <<'EOF2'
import os, random, sys, zlib

# make FILES | change FILES: half text, half not; 1 % of the files get new contents,
# and what those compress to is printed
do, d, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
r = random.Random(n + (do == "change"))
words = [bytes(r.choices(b"abcdefghijklmnopqrstuvwxyz", k=r.randrange(2, 11))) for _ in range(3000)]

def content():
    size = min(int(r.lognormvariate(7.6, 1.2)), 400000)
    if r.random() < 0.5:
        return r.randbytes(size)
    return b" ".join(r.choices(words, k=size // 7))

packed = 0
for i in range(n):
    if do == "change" and i % 100 != 37:
        continue
    p = f"{d}/{i % 5}/{i // 200}"
    if i % 200 < 5:
        os.makedirs(p, exist_ok=True)
    c = content()
    packed += len(zlib.compress(c, 1))
    with open(f"{p}/{i}", "wb") as f:
        f.write(c)
print(packed)
EOF2
python3 "$T/tree.py" make "$src" "$FILES" >/dev/null
sleep 2.1		# what changed just before a run is read again by the next

# the sizes of the vault's files, the store running
vault_bytes() { find "$T/state/vaults" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }'; }
stored() { sed -n 's/.*"type":"summary".*"stored_bytes":\([0-9]*\).*/\1/p' "$1"; }

# --- interrupted first runs go on ---
interrupt() { # SIGNAL AFTER-STORED-BYTES
	local base now pid i
	base=$(vault_bytes)
	STOREGRID_HOME=$T/c1 "$BUILD/storegrid" backup --job t "$src" >"$T/int.out" 2>&1 &
	pid=$!
	for i in $(seq 400); do
		now=$(vault_bytes)
		[ $((now - base)) -ge "$2" ] && break
		kill -0 "$pid" 2>/dev/null || break
	done
	kill -"$1" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	code=$?
	note "$1 after $((now - base)) bytes: exit $code"
}
interrupt INT 6000000
if [ "$code" = 130 ]; then ok "SIGINT: exit 130"; else
	not_ok "SIGINT: exit 130 (exit $code)"
	sed 's/^/# /' "$T/int.out" | tail -n 3
fi
interrupt KILL 6000000
for _ in $(seq 40); do		# its engine and net notice, and end
	sg c1 backup --job t --dry-run "$src" >"$T/dry.out" 2>&1
	[ $? = 75 ] || break
	sleep 0.1
done
before=$(vault_bytes)
check "after SIGINT and SIGKILL the run succeeds" sg c1 backup --job t --json "$src"
cp "$T/check.out" "$T/first.json"
total=$(vault_bytes)
if [ "$before" -gt 10000000 ] && [ $((total - before)) -lt $((total - 8000000)) ]; then
	ok "and goes on: $((before >> 10)) KiB were there, $(((total - before) >> 10)) KiB were added"
else
	not_ok "and goes on: $before bytes were there, $((total - before)) were added"
fi
packed=$(find "$src" -type f -print0 | python3 -c '
import sys, zlib
print(sum(len(zlib.compress(open(p, "rb").read(), 1)) for p in sys.stdin.buffer.read().split(b"\0")[:-1]))')
if [ $((total * 10)) -le $((packed * 12)) ]; then
	ok "what all runs stored is at most 1.2 times what the tree compresses to"
else
	not_ok "what all runs stored is at most 1.2 times what the tree compresses to ($total, $packed)"
fi

# --- unchanged ---
before=$(vault_bytes)
traced() {
	strace -f --seccomp-bpf -o "$T/trace" -e trace=open,openat,openat2 \
		env STOREGRID_HOME="$T/c1" "$BUILD/storegrid" backup --job t --json "$src"
}
traced >"$T/check.out" 2>&1
code=$?
after=$(vault_bytes)
if [ "$code" = 0 ]; then ok "an unchanged run under a trace succeeds"; else
	not_ok "an unchanged run under a trace succeeds (exit $code)"
	tail -n 5 "$T/check.out" | sed 's/^/# /'
fi
cat >"$T/opens.py" <<'EOF2'
import os, re, sys

# All names of the tree are numbers: a file is one that is opened by a number and not
# as a directory. (Directories of the tree are numbers too.)
files = dirs = 0
for line in open(sys.argv[1], errors="replace"):
    m = re.search(r'open(?:at2?)?\((?:[^,"]*, )?"([^"]*)", (.*)', line)
    if not m or not re.fullmatch(r"(?:.*/)?\d+", m.group(1)) or "= -1" in line:
        continue
    if "/proc" in m.group(1) or m.group(1).startswith("/sys"):
        continue
    if "O_DIRECTORY" in m.group(2):
        dirs += 1
    elif "O_PATH" not in m.group(2):
        files += 1
print(f"{files} files and {dirs} directories of the tree were opened")
sys.exit(files != int(sys.argv[2]) or dirs < 5)
EOF2
check "it opens no file of the tree" python3 "$T/opens.py" "$T/trace" 0
note "$(cat "$T/check.out")"
if [ $((after - before)) -lt 16384 ]; then
	ok "it adds less than 16 KiB to the vault ($((after - before)) bytes)"
else
	not_ok "it adds less than 16 KiB to the vault ($((after - before)) bytes)"
fi

# --- 1 % changed ---
packed=$(python3 "$T/tree.py" change "$src" "$FILES")
sleep 2.1
before=$(vault_bytes)
check "a run after 1 % of the files changed" traced
s=$(stored "$T/check.out")
after=$(vault_bytes)
check "it opens those and no others" python3 "$T/opens.py" "$T/trace" $((FILES / 100))
if [ "${s:-0}" -gt 0 ] && [ $((s * 10)) -le $((packed * 13)) ] &&
    [ $(((after - before) * 10)) -le $((packed * 13)) ]; then
	ok "it stores at most 1.3 times what they compress to ($packed; said $s, vault $((after - before)))"
else
	not_ok "it stores at most 1.3 times what they compress to ($packed; said $s, vault $((after - before)))"
fi
check "check is clean" sg c1 check

# --- touched, renamed, copied ---
cost() { # NAME LIMIT
	local b a
	b=$(vault_bytes)
	check "$1: a run" sg c1 backup --job t "$src"
	a=$(vault_bytes)
	if [ $((a - b)) -lt "$2" ]; then
		ok "$1: stores only nodes ($((a - b)) bytes)"
	else
		not_ok "$1: stores only nodes ($((a - b)) bytes, not below $2)"
	fi
}
find "$src/1" -type f -exec touch {} +
n=$(find "$src/1" -type f | wc -l)
bytes=$(du -sb --apparent-size "$src/1" | cut -f1)
data() { find "$T/state/vaults" -name '*.d' -printf '%s\n' | awk '{ s += $1 } END { print s }'; }
before=$(data)
cost "$n files ($bytes bytes) touched" $((n * 150 + 65536))
if [ "$(data)" = "$before" ]; then ok "touched: no data at all"; else
	not_ok "touched: no data at all ($(($(data) - before)) bytes)"
fi
mv "$src/2" "$src/two"
cost "a directory of $n files renamed" 16384
cp -r "$src/3" "$src/three"
before=$(data)
cost "a directory of $n files copied" $((n * 150 + 65536))
if [ "$(data)" = "$before" ]; then ok "copied: no data at all"; else
	not_ok "copied: no data at all ($(($(data) - before)) bytes)"
fi
out=$T/fast/out
mkdir "$out"
check "a restore" sg c1 restore latest --to "$out"
check "is what is there" same_tree "$src" "$out$src"
