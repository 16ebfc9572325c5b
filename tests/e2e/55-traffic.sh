#!/bin/bash
# What goes over the wire: TLS and nothing else; with SSL.Enabled nothing to the other
# port; in clear text, where that is allowed, still no name and no content.
. "$(dirname "$0")/lib.sh"

conf() { # LINES
	stop_server
	write_conf "Limits: { Exempt = [\"127.0.0.0/8\"]; }; $1"
	start_server || not_ok "the server starts with $1"
}
conf ''
src=$T/src
mkdir -p "$src/plainly-visible-directory"
python3 - "$src/plainly-visible-directory" <<'EOF2'
import os, sys
for i in range(400):
    with open(f"{sys.argv[1]}/plainly-visible-name-{i:04}", "wb") as f:
        f.write(b"plainly visible content " * (i * 3) + os.urandom(50))
open(f"{sys.argv[1]}/random", "wb").write(os.urandom(3000000))
EOF2
cat >"$T/look.py" <<'EOF2'
import struct, sys

# pcap of lo -> both directions of every TCP connection, put together by sequence
# numbers; then MODE tls: TLS records only, clear: no TLS at all, none: no packet.
mode, path = sys.argv[1], sys.argv[2]
ports = {int(p) for p in sys.argv[3].split(",")}
least = int(sys.argv[4])
words = [w.encode() for w in sys.argv[5:]]
d = open(path, "rb").read()
magic = d[:4]
end = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
link, = struct.unpack(end + "I", d[20:24])
at, streams, packets = 24, {}, 0
while at + 16 <= len(d):
    _, _, n, _ = struct.unpack(end + "IIII", d[at:at + 16])
    p = d[at + 16:at + 16 + n]
    at += 16 + n
    assert link == 1, link
    kind, p = p[12:14], p[14:]
    if kind == b"\x08\x00" and p[9] == 6:
        total, ihl = struct.unpack(">H", p[2:4])[0], (p[0] & 15) * 4
        a, b, tcp = p[12:16], p[16:20], p[ihl:total]
    elif kind == b"\x86\xdd" and p[6] == 6:
        a, b, tcp = p[8:24], p[24:40], p[40:40 + struct.unpack(">H", p[4:6])[0]]
    else:
        continue
    sp, dp, seq = struct.unpack(">HHI", tcp[:8])
    if sp not in ports and dp not in ports:
        continue
    packets += 1
    s = streams.setdefault((a, sp, b, dp), {"isn": None, "data": {}})
    if tcp[13] & 2:
        s["isn"] = seq + 1
    data = tcp[(tcp[12] >> 4) * 4:]
    if data:
        s["data"].setdefault(seq, b"")
        if len(data) > len(s["data"][seq]):
            s["data"][seq] = data

def whole(s):
    out, isn = bytearray(), s["isn"]
    for seq, data in sorted(((q - isn) & 0xffffffff, x) for q, x in s["data"].items()):
        if seq > len(out):
            sys.exit("a gap in the capture at %d" % len(out))
        out += data[len(out) - seq:]
    return bytes(out)

bad, total, records = [], 0, 0
for k, s in streams.items():
    if not s["data"]:
        continue
    x = whole(s)
    total += len(x)
    who = "%d->%d" % (k[1], k[3])
    bad += ["%s has %r in it" % (who, w) for w in words if w in x]
    if mode == "clear":
        if x[:1] == b"\x16":
            bad.append(who + " is TLS")
        continue
    o = 0
    while o < len(x):
        kind, version, n = struct.unpack(">BHH", x[o:o + 5]) if o + 5 <= len(x) else (0, 0, 0)
        if o == 0 and kind != 0x16:
            bad.append(who + " does not begin with a handshake")
            break
        if kind not in (20, 21, 22, 23) or version not in (0x301, 0x303) or n > 16640:
            bad.append("%s at %d: no TLS record (%r)" % (who, o, x[o:o + 16]))
            break
        o += 5 + n
        records += 1
if mode == "none":
    bad += ["%d packets" % packets] if packets else []
elif total < least:
    bad.append("only %d bytes were seen" % total)
print("%d packets, %d streams, %d bytes, %d TLS records" % (packets, len(streams), total, records))
for b in bad[:10]:
    print(b)
sys.exit(1 if bad else 0)
EOF2
words=(plainly-visible "plainly visible content" random acme/c1)
tcpdump=
capture() { # FILE
	tcpdump -i lo --immediate-mode -U -B 65536 -w "$1" "port $PORT or port $SSLPORT" >"$T/tcpdump.out" 2>&1 &
	tcpdump=$!
	for _ in $(seq 50); do
		grep -q 'listening on' "$T/tcpdump.out" && return
		sleep 0.1
	done
}
capture_end() {
	sleep 0.5
	kill -INT "$tcpdump"
	wait "$tcpdump" 2>/dev/null
	tcpdump=
}
end() {
	[ -z "$tcpdump" ] || kill "$tcpdump" 2>/dev/null
	finish
}
trap end EXIT
look() { python3 "$T/look.py" "$@"; }
told() { note "$(head -n 1 "$T/check.out")"; }

# --- as it comes: TLS on Ports.Server ---
capture "$T/tls.pcap"
check "a client enrols" new_client c1
check "a backup" sg c1 backup --job t "$src"
mkdir "$T/out"
check "a restore" sg c1 restore latest --to "$T/out"
capture_end
check "every connection is TLS records only, nothing in it can be read" \
	look tls "$T/tls.pcap" "$PORT,$SSLPORT" 1000000 "${words[@]}"
told
check "not one packet went to Ports.SSLServer" look none "$T/tls.pcap" "$SSLPORT" 0

# --- SSL.Enabled: everything to Ports.SSLServer ---
conf 'SSL: { Enabled = 1; };'
cp -a "$T/c1" "$T/c1.plain"
echo 'SSL: { Enabled = 1; };' >>"$T/c1/SGConfiguration.conf"
ctl client add acme/c2 >"$T/c2.token" 2>/dev/null
mkdir "$T/c2"
cp "$T/c1/SGConfiguration.conf" "$T/c2/"
capture "$T/ssl.pcap"
check "SSL.Enabled = 1: a client enrols" sg c2 enrol --token-file "$T/c2.token"
rm -rf "$T/out"
mkdir "$T/out"
date >>"$src/changed"
check "SSL.Enabled = 1: a backup" sg c1 backup --job t "$src"
check "SSL.Enabled = 1: another client's" sg c2 backup --job t "$src"
check "SSL.Enabled = 1: a restore" sg c1 restore latest --to "$T/out"
capture_end
check "every connection is TLS" look tls "$T/ssl.pcap" "$PORT,$SSLPORT" 1000000 "${words[@]}"
told
check "not one packet went to Ports.Server" look none "$T/ssl.pcap" "$PORT" 0

# --- Plaintext.Client ---
conf 'Plaintext: { AllowFrom = ["127.0.0.0/8"]; };'
rm -rf "$T/c1"
mv "$T/c1.plain" "$T/c1"
echo 'Plaintext: { Client = 1; };' >>"$T/c1/SGConfiguration.conf"
rm -rf "$T/out"
mkdir "$T/out"
head -c 1000000 /dev/urandom >"$src/more"
capture "$T/clear.pcap"
check "Plaintext.Client = 1: a backup" sg c1 backup --job t "$src"
check "Plaintext.Client = 1: a restore" sg c1 restore latest --to "$T/out"
check "is what is there" same_tree "$src" "$T/out$src"
capture_end
check "it is not TLS, and neither names nor contents can be read" \
	look clear "$T/clear.pcap" "$PORT,$SSLPORT" 1000000 "${words[@]:0:2}"
told
ctl client add acme/c3 >"$T/c3.token" 2>/dev/null
mkdir "$T/c3"
cp "$T/c1/SGConfiguration.conf" "$T/c3/"
capture "$T/enrol.pcap"
sg c3 enrol --token-file "$T/c3.token" >"$T/check.out" 2>&1
code=$?
capture_end
note "enrolment with Plaintext.Client = 1: exit $code; $(head -n 1 "$T/check.out" | cut -c1-200)"
check "enrolment with Plaintext.Client = 1 uses TLS all the same" \
	look tls "$T/enrol.pcap" "$PORT,$SSLPORT" 500 acme/c3

# --- where it is not allowed ---
# In clear text the server does not enrol either: 30-hostile tries it.
conf ''
sg c1 backup --job t "$src" >"$T/check.out" 2>&1 && not_ok "clear text where it is not allowed: refused"
note "$(grep -v '^warning' "$T/check.out" | head -n 1 | cut -c1-300)"
check_says "clear text where it is not allowed: says so" '[Cc]lear text'
sed -i '/^Plaintext/d' "$T/c1/SGConfiguration.conf"
check "over TLS it goes on" sg c1 backup --job t "$src"
