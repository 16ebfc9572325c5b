#!/bin/bash
# A tree with every kind of file goes to the server and comes back identical.
. "$(dirname "$0")/lib.sh"

write_conf
check "the server starts" start_server || exit 1
check "a client enrols" new_client c1

src=$T/src
mkdir -p "$src/dir/empty" "$src/many"
echo hello >"$src/small"
: >"$src/empty"
head -c 300 /dev/urandom >"$src/random300"
head -c 5000000 /dev/urandom >"$src/big"
yes "a line that compresses" | head -c 3000000 >"$src/text"
ln -s small "$src/link"
ln -s /nonexistent/dangling "$src/dangling"
ln "$src/small" "$src/hard"
mkfifo "$src/fifo"
mknod "$src/null" c 1 3
mknod "$src/blk" b 7 7
python3 - "$src" <<'EOF'
import os, socket, sys
d = sys.argv[1].encode()
s = socket.socket(socket.AF_UNIX)
os.chdir(d)
s.bind("sock")
for n in (b"new\nline", b"\xff\xfe", b"-dash", b" space ", b"a" * 255, b"\x01\x7f"):
    open(os.path.join(d, n), "wb").write(n)
# deeper than PATH_MAX, beside the tree that rsync compares: it cannot go there
os.mkdir(os.path.join(d, b"../deep"))
fd = os.open(os.path.join(d, b"../deep"), os.O_RDONLY)
for i in range(60):
    os.mkdir(b"d" * 100, dir_fd=fd)
    n = os.open(b"d" * 100, os.O_RDONLY, dir_fd=fd)
    os.close(fd)
    fd = n
f = os.open(b"deep", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd)
os.write(f, b"deep")
# sparse
f = os.open(os.path.join(d, b"sparse"), os.O_WRONLY | os.O_CREAT)
os.lseek(f, 50 << 20, 0)
os.write(f, b"x" * 5000)
os.ftruncate(f, 100 << 20)
for i in range(2000):
    open(os.path.join(d, b"many/%04d" % i), "w").write("file %d\n" % i * (i % 50))
EOF
chmod 4755 "$src/small"
chmod 1777 "$src/dir"
chown 1234:5678 "$src/text"
setfattr -n user.note -v value "$src/text"
setfacl -m u:4321:rw "$src/random300"
setfacl -d -m g:99:rx "$src/dir"
setcap cap_net_raw+ep "$src/random300"
touch -h -d '1999-12-31 23:59:59.123456789' "$src/link" "$src/text" "$src/dir"
touch -d '1960-01-01 00:00:00.5' "$src/empty"

check "a backup succeeds" sg c1 backup --job tree "$src" "$T/deep"
check "snapshots lists it" sg c1 snapshots
check_says "with its job" tree
check "ls shows a name" sg c1 ls "latest:$src"
check_says "and escapes what is not printable" 'sparse'
mkdir "$T/out"
check "a restore succeeds" sg c1 restore latest --to "$T/out"
check "the restored tree is identical (rsync)" same_tree "$src" "$T/out$src"
deep_is_there() {
	python3 - "$T/out$T/deep" <<'EOF'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(60):
    n = os.open(b"d" * 100, os.O_RDONLY, dir_fd=fd)
    os.close(fd)
    fd = n
assert os.read(os.open(b"deep", os.O_RDONLY, dir_fd=fd), 100) == b"deep"
EOF
}
check "a file deeper than PATH_MAX came back" deep_is_there
check "the sparse file is sparse" test "$(stat -c %b "$T/out$src/sparse")" -lt 1000
check "a check with reading is clean" sg c1 check --read-data
check "an unchanged backup succeeds" sg c1 backup --job tree "$src" "$T/deep"
mkdir "$T/one"
check "one file comes back" sg c1 restore "latest:$src/text" --to "$T/one"
check "and is the same" cmp "$src/text" "$T/one/text"
