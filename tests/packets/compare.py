"""compare.py - are two traces of one random script equal, as far as they must be

Not compared: when within a step something came; how text is cut into segments; how many ACKs acknowledge the same;
what timers send again (again) and probe; SACK blocks of duplicates; whether there is room to write behind much unsent text.
"""
import re

MUCH = 2500  # unsent bytes behind which POLLOUT and what a write takes are the send buffer's business
POLLOUT = 0x104
POLLPRI = 0x2
POLLERR = 0x8
OPENING, CLOSED = (2, 3), 7
QUIET = 9  # steps after an ACK in which the kernel may withhold one that answers something wrong
LATE = 3  # steps that an ACK of new text may come later


def segs_of(step):
    return [step[1]] if step[0] == "seg" else step[1] if step[0] == "burst" else []


def segs(script, n=None):
    """The segments of the first 'n' steps."""
    return [d for step in script["steps"][:n] for d in segs_of(step)]


def advances(seen, n):
    before = [s["ack"] for s in seen[:n] if "ack" in s]
    return not before or seen[n]["ack"] != before[-1]


def later(seen, n, ack):
    """Does an ACK of as much come within LATE steps, or has the script no more of them?"""
    rest = seen[n:n + LATE]
    return len(rest) < LATE or any("ack" in s and (s["ack"] - ack) & 0xFFFFFFFF < 1 << 31 for s in rest)


def blocks(s):
    """SACK blocks without a first one of what came twice (RFC 2883)."""
    v = s.get("sack") or []
    if not v:
        return v
    a, b = v[0]
    dup = ((b - s["ack"] - 1) & 0xFFFFFFFF) >= 1 << 31 or any(x <= a and b <= y for x, y in v[1:])
    return v[1:] if dup else v


def field_differs(k, ln, field):
    if field != "sack":
        return k.get(field) != ln.get(field)
    a, b = blocks(k), blocks(ln)
    # What came twice takes the last one's place.
    most = min(len(a), len(b)) if len(k.get("sack", [])) == len(ln.get("sack", [])) >= 3 else 4
    return a[:most] != b[:most]


def behind_fin(script, n):
    """Had text come that contradicts a FIN? lane forgets one of them, the kernel keeps both, or the first."""
    sent = segs(script, n)
    fins = [s["s"] + s.get("n", 0) for s in sent if s["f"] & 1]
    return any(s["s"] + s["n"] > f for s in sent if s.get("n") for f in fins)


def late_fin(script, k, n):
    """An old FIN for a socket that was closed: in FIN_WAIT_2 the kernel has a record then, which takes no clock from it."""
    return any(s["f"] & 1 and not s.get("n") and s["s"] < k["ack"] for s in segs_of(script["steps"][n - 1])) and "state" not in k["app"][1]


def kernels_syn(script, seen, n):
    """A SYN for the end of an active open that is gone: in TIME_WAIT lane's XDP program leaves it to the kernel, which resets."""
    return script["active"] and "state" not in seen[n]["app"][1] and any(d["f"] & 22 == 2 for d in segs_of(script["steps"][n - 1]))


def beyond_one_edge(script, both, n):
    """Had text come beyond the window that one world had told, but not the other? How it grows is their own business."""
    for i, s in enumerate(script["steps"][:n]):
        told = [[t for t in x[:i + 1] if "raw" in t] for x in both]
        edges = [t[-1]["ack"] + t[-1]["raw"] for t in told if t]
        if len(edges) == 2 and any(min(edges) < d["s"] + d["n"] <= max(edges) for d in segs_of(s) if d.get("n")):
            return True
    return False


def acks_differ(script, both, n):
    k, ln = both[0][n], both[1][n]
    if "ack" in k and "ack" in ln:
        if k["ack"] == ln["ack"]:
            fields = ("sack", "ecr", "ece", "wnd") if "new" not in ln and not ln["again"] else ("ecr", "ece", "wnd")  # a full segment has no blocks
            may = behind_fin(script, n) or beyond_one_edge(script, both, n)
            differ = [f for f in fields if field_differs(k, ln, f) and not (f == "sack" and may)]
            return [f for f in differ if not (f == "ecr" and late_fin(script, k, n))]
        a, b = (both[0], both[1]) if (k["ack"] - ln["ack"]) & 0xFFFFFFFF < 1 << 31 else (both[1], both[0])
        return [] if later(b, n + 1, a[n]["ack"]) else ["ack"]
    if "ack" not in k and "ack" not in ln:
        return []
    has, lacks = (both[0], both[1]) if "ack" in k else (both[1], both[0])
    if not advances(has, n):
        if not has[n]["pure"] or (lacks is both[0] and any(s.get("pure") for s in lacks[max(0, n - QUIET):n])):
            return []
        if beyond_one_edge(script, both, n):
            return []
        # A window's opening may come with another segment.
        return ["ack of nothing new"]
    return [] if later(lacks, n + 1, has[n]["ack"]) else ["ack"]


def window_is_small(script, n):
    """Is the window that the peer told last one that timers fill: less than a segment, or half the largest?"""
    wnd, scale, most = 65535, 0, 0
    for s in segs(script, n):
        for o in s.get("o", ()):
            scale = o[1] if s["f"] & 2 and o[0] == "ws" else scale
        wnd = s.get("w", 65535) << (0 if s["f"] & 2 else scale)
        most = max(most, wnd)
    return wnd < max(536, most // 2)


def sacked_in_part(script, n):
    """Were blocks told that end amid segments, which timestamps shorten? The kernel cuts what it sent at them."""
    opts = [[o[0] for o in s.get("o", ())] for s in segs(script, n)]
    return any("ts" in o for o in opts) and any("sack" in o for o in opts)


def is_probe(script, both, n):
    """New text of a segment at most in one world, a while after the last: a tail loss probe takes what is held."""
    return all(x[n].get("new", [0, 0])[1] - x[n].get("new", [0, 0])[0] <= 1460 for x in both) and \
        not any("new" in x[n - 1] for x in both) and any(x[n]["app"][1].get("unsent", 0) for x in both) and \
        not segs_of(script["steps"][n - 1])


def may_send_otherwise(script, both, n):
    """May what leaves in step 'n' differ: by a little, by a timer of this step or one before, by SACK blocks, which make the
    kernel's segments shorter?"""
    a, b = (x[n].get("new", [0, 0]) for x in both)
    if written(both[0], n) != written(both[1], n):
        return True  # the send buffer is each world's own business
    if min(b[1] - b[0], a[1] - a[0]) * 2 > max(b[1] - b[0], a[1] - a[0]):
        return True  # a window in bytes, or in segments
    if any(s.get("again") or (i < n and s.get("new") != t.get("new")) for pair in (both, both[::-1])
           for i, (s, t) in enumerate(zip(*(x[:n + 1] for x in pair)))):
        return True
    step = script["steps"][n - 1]
    if window_is_small(script, n) or sacked_in_part(script, n) or is_probe(script, both, n):
        return True
    return not (segs_of(step) or step[1:2] == ["send"]) or any("sack" in x[n] for x in both)


def any_hole(script, seen, n):
    """Did text come behind a hole, that is behind what the kernel had acknowledged?"""
    top = 1
    for step, s in zip(script["steps"][:n], seen):
        top = max(top, s.get("ack", 0))
        if any(d.get("n") and d["s"] > top for d in segs_of(step)):
            return True
    return False


def much(script):
    """The kernel's buffer counts what each segment takes besides its text."""
    mss = [o[1] for s in segs(script) for o in s.get("o", ()) if o[0] == "mss"]
    small = any(o[:2] == [1, 7] for o in script["options"]) or any(s[:4] == ["app", "set_option", 1, 7] for s in script["steps"])
    return min([500 if small else MUCH] + [10 * m for m in mss])


def written(seen, n):
    """Bytes that the writes until then took."""
    return [s["app"][0] for s in seen[:n + 1] if isinstance(s["app"][0], int)]


def special(script, both, n, full):
    """What is compared line by line, but not of segments that carry text again, or the urgent mark with them. RSTs are
    at the end of what each had sent; the urgent mark is compared where each took as much; a FIN behind much text may wait for the
    congestion window, which the kernel counts in segments."""
    lines = [set(x[n]["special"]) - ({"F"} if full else set()) for x in both]
    if any(x[i].get("again") for x in both for i in range(n + 1)):
        lines = [{w for w in part if w[0] in "SR"} for part in lines]
    if lines[0] != lines[1]:
        lines = [{re.sub(r"^(R.* seq=)\d+ end", r"\1end", w) for w in part} for part in lines]
        # A SYN-ACK that comes again tells the window of now.
        lines = [{re.sub(r"^(SA again.*) win=\d+", r"\1", w) for w in part} for part in lines]
    if any(s.get("new") != t.get("new") for s, t in zip(*(x[1:n + 1] for x in both))):
        # Nor are its edge and its ECN marks the same where other text was sent.
        lines = [{re.sub(r"^(R.* seq=)\d+", r"\1", w) for w in part if w != "tos=2"} for part in lines]
    if written(both[0], n) != written(both[1], n):
        lines = [{re.sub(r"U urg=\d+", "", w) for w in part} - {""} for part in lines]
    return lines


def refused_opening(script, seen, n):
    """Did an ICMP error end the opening, so that an error is queued beside the one that the program is told?"""
    return script["active"] and any(s[0] == "icmp" and x["app"][1].get("state") in OPENING for s, x in zip(script["steps"][:n], seen)) and \
        seen[n]["app"][1].get("state") == CLOSED


def step_differs(script, both, n):
    k, ln = both[0][n], both[1][n]
    out = []
    if n > 0 and k.get("new") != ln.get("new") and not may_send_otherwise(script, both, n):
        out.append("new")
    if n > 0 and kernels_syn(script, both[0], n):
        return out
    out += acks_differ(script, both, n)
    # Of a connection: half-open ones are told the whole of the buffer by challenges.
    if k.get("ack") == ln.get("ack") == 1 and "state" in k["app"][1] and k["raw"] != ln["raw"] and not any(d.get("n") for d in segs(script, n)):
        out.append("first window")
    k, ln = k["app"], ln["app"]
    if refused_opening(script, both[0], n):
        # The kernel keeps the ICMP error for MSG_ERRQUEUE, asked for or not.
        for look in [w for w in (k[1], ln[1]) if "poll" in w]:
            look["poll"] &= ~POLLERR
    full = max(k[1].get("unsent", 0), ln[1].get("unsent", 0)) > much(script)
    if any(s["f"] & 32 for s in segs(script)) and any_hole(script, both[0], n):
        # The urgent byte of what lies behind a hole is there when the hole is filled.
        for look in [w for w in (k[1], ln[1]) if "poll" in w]:
            look["poll"] &= ~POLLPRI
    lines = special(script, both, n, full)
    if lines[0] != lines[1]:
        out.append("special")
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
    out += [f"{k}={s[k]}" for k in ("new", "ack", "sack", "ecr", "ece", "raw", "again") if s.get(k)]
    if r is not None:
        out.append(f"-> {r}")
    out.append(" ".join(f"{k}={v:#x}" if k in ("poll", "listener") else f"{k}={v}" for k, v in look.items()))
    return " | ".join(x for x in out if x)


def show(script, both, how):
    """Lines about both traces, up to where they differ by the module 'how'."""
    d = how.difference(script, both)
    for n in range(len(both[0])):
        step = script["steps"][n - 1] if n else "begin"
        yield f"{n}: {step}"
        k, ln = how.line(both[0][n]), how.line(both[1][n])
        if k == ln:
            yield f"       both   {k}"
        else:
            yield f"       kernel {k}"
            yield f"       lane   {ln}"
        if d and n == d[0]:
            yield f"  ^^^^ {', '.join(d[1])}"
            return
