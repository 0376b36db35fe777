"""expected.py - where lane differs from the kernel on purpose: case -> reason; docs/tcp.md says the same

A case listed here that passes fails: its line is to be deleted.
"""


def both(name):
    return [name + "/4", name + "/6"]


ICMP = "lane drops it without an ICMP parameter problem"
AUTH = "lane knows no TCP-MD5 and ignores the option; the kernel refuses a signature that it has no key for"
HALF = "the kernel cuts segments to half of a small window, lane to the MSS"
FRAGMENT = "a later fragment that comes before the first goes to the kernel (drivers/xdp/xdp.bpf.c), which has no such connection"
FORGED = "no answer to a source that cannot be a peer's (tcp.md)"

_TABLE = (
    (both("syn-md5") + both("syn-garbage"), AUTH),
    (["ip4-option-length-0/4", "ip4-option-length-long/4"], ICMP),
    (["ip4-option-cipso-bad/4"], "lane skips options that it does not know, CIPSO too"),
    (["ext6-" + n + "/6" for n in ("hop-by-hop-complain", "hop-by-hop-twice", "hop-by-hop-late", "destination-complain",
                                   "routing-0-left", "routing-2-left", "routing-unknown-left", "mobility")], ICMP),
    (["ext6-hop-by-hop-long/6"], "lane takes padding of more than 7 bytes"),
    (["from-zero-net/4", "from-zero/6", "from-mapped/6"], FORGED),
    (["from-network/4"], "the kernel treats a network's own number as a broadcast"),
    (["fragments-" + n + "/" + v for n in ("backwards", "first-last") for v in "46"] + ["fragments-tiny-first/4"], FRAGMENT),
    (both("options-in-text"), "the kernel drops damaged options while it looks for TCP-MD5; lane ignores them"),
    (both("window-scaled"), HALF),
)
EXPECTED = {name: why for names, why in _TABLE for name in names}
