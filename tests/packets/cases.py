"""cases.py - the table of all cases, and how a file of them adds its own

A case is a function of (world, notes) or, for @tcp, (peer factory); it runs in each world alike.
"""
import collections

from world import Peer

Case = collections.namedtuple("Case", "name function alone")
ALL = []


def add(name, function, alone=False):
    ALL.append(Case(name, function, alone))


def case(alone=False, v4=True, v6=True):
    """Decorator: f(new) with new(service, **more) -> Peer; once for each IP version."""
    def deco(f):
        name = f.__name__.replace("_", "-")
        for six in [False] * v4 + [True] * v6:
            def body(w, notes, six=six):
                f(lambda service="echo", **more: Peer(w, notes, service, v6=more.pop("v6", six), **more))
            add(name + ("/6" if six else "/4"), body, alone)
        return f
    return deco


def table(prefix, rows, alone=False, v4=True, v6=True):
    """Decorator: f(new, row) for each row of {name: row}."""
    def deco(f):
        for key, row in rows.items():
            def body(new, row=row):
                f(new, row)
            body.__name__ = f"{prefix}-{key}"
            case(alone, v4, v6)(body)
        return f
    return deco


import case_open  # noqa: E402,F401
import case_stray  # noqa: E402,F401
import case_ip  # noqa: E402,F401
import case_text  # noqa: E402,F401
import case_guard  # noqa: E402,F401
import case_send  # noqa: E402,F401
import case_close  # noqa: E402,F401
import case_udp  # noqa: E402,F401
import case_flood  # noqa: E402,F401
