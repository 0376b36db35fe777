"""compare.py - are two traces of one random script equal, as far as they must be

Not compared: when within a step something came; how text is cut into segments; how many ACKs acknowledge the same;
what timers send again (again); SACK blocks of duplicates; whether there is room to write behind much unsent text.
"""
MUCH = 2500  # unsent bytes behind which POLLOUT and what a write takes are the send buffer's business
POLLOUT = 0x104
POLLPRI = 0x2
CLOSED = 7
QUIET = 9  # steps after an ACK in which the kernel may withhold one that answers something wrong
LATE = 3  # steps that an ACK of new text may come later


def advances(seen, n):
    before = [s["ack"] for s in seen[:n] if "ack" in s]
    return not before or seen[n]["ack"] != before[-1]


def later(seen, n, ack):
    """Does an ACK of as much come within LATE steps, or has the script no more of them?"""
    rest = seen[n:n + LATE]
    return len(rest) < LATE or any("ack" in s and (s["ack"] - ack) & 0xFFFFFFFF < 1 << 31 for s in rest)


def told(s, field):
    """The field, SACK blocks without a first one of what came twice (RFC 2883)."""
    v = s.get(field)
    if field != "sack" or not v:
        return v
    a, b = v[0]
    dup = ((b - s["ack"] - 1) & 0xFFFFFFFF) >= 1 << 31 or any(x <= a and b <= y for x, y in v[1:])
    return (v[1:] or None) if dup else v


def acks_differ(both, n):
    k, ln = both[0][n], both[1][n]
    if "ack" in k and "ack" in ln:
        if k["ack"] == ln["ack"]:
            fields = ("sack", "ecr", "wnd") if "new" not in ln and not ln["again"] else ("ecr", "wnd")  # a full segment has no blocks
            return [f for f in fields if told(k, f) != told(ln, f)]
        a, b = (both[0], both[1]) if (k["ack"] - ln["ack"]) & 0xFFFFFFFF < 1 << 31 else (both[1], both[0])
        return [] if later(b, n + 1, a[n]["ack"]) else ["ack"]
    if "ack" not in k and "ack" not in ln:
        return []
    has, lacks = (both[0], both[1]) if "ack" in k else (both[1], both[0])
    if not advances(has, n):
        if not has[n]["pure"] or (lacks is both[0] and any(s.get("pure") for s in lacks[max(0, n - QUIET):n])):
            return []
        # A window's opening may come with another segment.
        return ["ack of nothing new"]
    return [] if later(lacks, n + 1, has[n]["ack"]) else ["ack"]


def may_send_otherwise(script, both, n):
    """May what leaves in step 'n' differ: by a little, by a timer of this step or one before, by SACK blocks, which make the
    kernel's segments shorter?"""
    a, b = (x[n].get("new", [0, 0]) for x in both)
    if min(b[1] - b[0], a[1] - a[0]) * 2 > max(b[1] - b[0], a[1] - a[0]):
        return True  # a window in bytes, or in segments
    if any(s.get("again") or (i < n and s.get("new") != t.get("new")) for pair in (both, both[::-1])
           for i, (s, t) in enumerate(zip(*(x[:n + 1] for x in pair)))):
        return True
    step = script["steps"][n - 1]
    return not (step[0] == "seg" or step[1:2] == ["send"]) or any("sack" in x[n] for x in both)


def any_hole(script, n):
    """Did text come behind a hole?"""
    top = 1
    for s in script["steps"][:n]:
        if s[0] == "seg" and s[1].get("n"):
            if s[1]["s"] > top:
                return True
            top = max(top, s[1]["s"] + s[1]["n"])
    return False


def special(s, both, n):
    """What is compared line by line, but not of segments that carry text again, or the urgent mark with them."""
    lines = set(s["special"])
    if any(x[i].get("again") for x in both for i in range(n + 1)):
        lines = {w for w in lines if w[0] in "SR"}
    return lines


def step_differs(script, both, n):
    k, ln = both[0][n], both[1][n]
    out = []
    if special(k, both, n) != special(ln, both, n):
        out.append("special")
    if n > 0 and k.get("new") != ln.get("new") and not may_send_otherwise(script, both, n):
        out.append("new")
    out += acks_differ(both, n)
    k, ln = k["app"], ln["app"]
    full = max(k[1].get("unsent", 0), ln[1].get("unsent", 0)) > MUCH
    if any("seg" == s[0] and s[1]["f"] & 32 for s in script["steps"]) and any_hole(script, n):
        # The urgent byte of what lies behind a hole is there when the hole is filled.
        for look in [w for w in (k[1], ln[1]) if "poll" in w]:
            look["poll"] &= ~POLLPRI
    if k[0] != ln[0] and not full:
        out.append("result")
    for f in set(k[1]) | set(ln[1]):
        a, b = k[1].get(f), ln[1].get(f)
        if f == "poll" and full and a is not None and b is not None:
            a, b = a & ~POLLOUT, b & ~POLLOUT
        if f == "unsent" and (full or any(s.get("new") != t.get("new") for s, t in zip(*(x[:n + 1] for x in both))) or k[1].get("state") == CLOSED):
            continue
        if a != b:
            out.append(f)
    return out


def difference(script, both):
    """(step, names of fields) of the first difference, or None."""
    for n in range(len(both[0])):
        d = step_differs(script, both, n)
        if d:
            return n, d
    return None


def line(s):
    r, look = s["app"]
    out = [str(x) for x in s["special"]]
    out += [f"{k}={s[k]}" for k in ("new", "ack", "sack", "ecr", "raw", "again") if s.get(k)]
    if r is not None:
        out.append(f"-> {r}")
    out.append(" ".join(f"{k}={v:#x}" if k in ("poll", "listener") else f"{k}={v}" for k, v in look.items()))
    return " | ".join(x for x in out if x)


def show(script, both):
    d = difference(script, both)
    for n in range(len(both[0])):
        step = script["steps"][n - 1] if n else "begin"
        yield f"{n}: {step}"
        k, ln = line(both[0][n]), line(both[1][n])
        if k == ln:
            yield f"       both   {k}"
        else:
            yield f"       kernel {k}"
            yield f"       lane   {ln}"
        if d and n == d[0]:
            yield f"  ^^^^ {', '.join(d[1])}"
            return
