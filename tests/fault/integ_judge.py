#!/usr/bin/env python3
"""Is what a damaged vault led to what was promised?

    integ_judge.py SOURCE RESTORED CHECK.json CODE RESTORE.json CODE ID...

The ids are those of the objects that were damaged. Prints what is wrong.
"""
import json
import subprocess
import sys


def findings(path):
    out = []
    for line in open(path):
        try:
            j = json.loads(line)
        except ValueError:
            continue
        if j.get("type") == "finding":
            out.append(j)
    return out


def differing(a, b):
    out = subprocess.run(["rsync", "-nacHAX", "--delete", "--modify-window=-1",
                          "--out-format=%n", a + "/", b + "/"], capture_output=True, text=True)
    if out.returncode:
        return ["./"]
    return [n for n in out.stdout.splitlines() if n and not n.startswith("created dir")]


def covered(path, named):
    """Named itself, or below or directly above something that was named."""
    p = path.rstrip("/")
    return any(p == n or p.startswith(n.rstrip("/") + "/") or
               n.rsplit("/", 1)[0] == p for n in named)


def main(src, out, check, ccode, restore, rcode, *ids):
    bad = []
    diff = [src + "/" + n if n != "./" else src for n in differing(src, out)]
    for what, path, code in (("check", check, ccode), ("restore", restore, rcode)):
        f = findings(path)
        named = {n for x in f for n in x.get("paths", [])}
        if code != "15":
            bad.append("%s: exit %s" % (what, code))
        bad += ["%s does not name %s" % (what, d) for d in diff if not covered(d, named)][:5]
        told = {x["object"] for x in f if x.get("paths")}
        bad += ["%s: damaged object %s was not reported with its files" % (what, i[:16])
                for i in ids if i not in told]
    if not diff:
        bad.append("nothing was lost")
    for b in bad:
        print(b)
    print("%d paths were not restored as they were" % len(diff))
    sys.exit(1 if bad else 0)


main(*sys.argv[1:])
