#!/usr/bin/env python3
"""Start a program as systemd would: sockets in LISTEN_FDS, a user, ambient capabilities.

    integ_launch.py UID SOCKET... -- PROGRAM ARGUMENT...

A SOCKET is ADDRESS,PORT or unix,PATH; a leading + leaves IPv4 on an IPv6 one, a
leading - is not listening.
"""
import ctypes
import os
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
CAPS = (5, 6, 7, 18)                    # KILL, SETGID, SETUID, SYS_CHROOT
SET_KEEPCAPS, CAPBSET_DROP, CAP_AMBIENT = 8, 24, 47


def prctl(*a):
    if libc.prctl(*[ctypes.c_ulong(x) for x in a + (0,) * (5 - len(a))]) != 0:
        sys.exit("prctl %r: %s" % (a, os.strerror(ctypes.get_errno())))


def make(spec):
    mapped, quiet = spec.startswith("+"), spec.startswith("-")
    addr, port = spec.lstrip("+-").rsplit(",", 1)
    if addr == "unix":
        s = socket.socket(socket.AF_UNIX)
        if os.path.exists(port):
            os.unlink(port)
        s.bind(port)
        os.chmod(port, 0o660)
    else:
        six = ":" in addr
        s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if mapped else 1)
        s.bind((addr, int(port)))
    if not quiet:
        s.listen(512)
    return s


def drop(uid):
    bits = sum(1 << c for c in CAPS)
    for c in range(64):
        if c not in CAPS and libc.prctl(CAPBSET_DROP, c, 0, 0, 0) != 0:
            break
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    prctl(SET_KEEPCAPS, 1)
    os.setresuid(uid, uid, uid)
    head = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
    data = ctypes.create_string_buffer(struct.pack("6I", bits, bits, bits, 0, 0, 0))
    if libc.capset(head, data) != 0:
        sys.exit("capset: " + os.strerror(ctypes.get_errno()))
    for c in CAPS:
        prctl(CAP_AMBIENT, 2, c)


def main(uid, *rest):
    at = rest.index("--")
    socks = [make(s) for s in rest[:at]]
    high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(socks)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
        os.close(fd)
    env = {"PATH": os.environ["PATH"]}
    if socks:
        env.update(LISTEN_FDS=str(len(socks)), LISTEN_PID=str(os.getpid()))
    drop(int(uid))
    os.execve(rest[at + 1], rest[at + 1:], env)


main(*sys.argv[1:])
