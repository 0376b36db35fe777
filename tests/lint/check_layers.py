#!/usr/bin/env python3
"""check_layers.py - includes point down only: base <- wire <- net <- tcp, udp <- stack; drivers; posix; apps"""
import os

import lintlib

# What each layer may include of ours. 'api' is stack/include/lane, 'int' stack/include/lane-int.
MAY = {
    'api': {'api'},
    'base': {'base', 'api'},
    'wire': {'wire', 'base', 'api'},
    'int': {'int', 'wire', 'base', 'api'},
    'net': {'net', 'int', 'wire', 'base', 'api'},
    'tcp': {'tcp', 'net', 'int', 'wire', 'base', 'api'},
    'udp': {'udp', 'net', 'int', 'wire', 'base', 'api'},
    'stack': {'stack', 'tcp', 'udp', 'net', 'int', 'wire', 'base', 'api'},
    # The mirror and the arena's lane need lane-int; a driver never sees the engine's parts.
    'drivers': {'drivers', 'int', 'base', 'api'},
    'posix': {'posix', 'drivers', 'int', 'api'},
    # The tool is the keeper's front door; the others are programs like any user's.
    'apps/lane': {'apps/lane', 'posix', 'drivers', 'int', 'api'},
    'apps': {'apps', 'drivers', 'api'},
    'bench': {'bench', 'api'},
    # It measures the engine's parts alone.
    'bench/micro': {'bench/micro', 'net', 'wire', 'int', 'base', 'api'},
}
# A driver is one folder: drivers/x may not include drivers/y.
SEPARATE = ('drivers', 'apps')


def layer(path):
    parts = path.split('/')
    if path.startswith('stack/include/lane/'):
        return 'api'
    if path.startswith('stack/include/lane-int/'):
        return 'int'
    if parts[0] == 'stack':
        return parts[1] if len(parts) > 2 else 'stack'
    for part in ('apps/lane', 'bench/micro'):
        if path.startswith(part + '/'):
            return part
    return parts[0]


def resolve(root, path, name):
    """The file of ours that an include means, or None."""
    for base in (os.path.dirname(path), '', 'stack/include'):
        full = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(root, full)):
            return full
    return None


def check(root, build):
    problems = []
    allow = lintlib.allowed(os.path.join(root, 'tests/lint/layers.allow'))
    for path in lintlib.sources(root, ('.c', '.h'), tuple(d for d in lintlib.DIRS if d != 'tests')):
        mine = layer(path)
        for n, name in lintlib.includes(lintlib.read(root, path)):
            target = resolve(root, path, name)
            if not target or f'{path}:{target}' in allow:
                continue
            theirs = layer(target)
            folders = [p.split('/')[1] for p in (path, target) if p.count('/') > 1]
            apart = mine == theirs and mine in SEPARATE and len(set(folders)) > 1
            if theirs not in MAY.get(mine, set()) or apart:
                problems.append(f'{path}:{n}: {mine} must not include {target} ({theirs})')
    return problems


EXAMPLES = [
    ({'stack/base/a.c': '#include "stack/tcp/b.h"\n', 'stack/tcp/b.h': ''}, 'base must not include'),
    ({'stack/tcp/a.c': '#include "stack/udp/b.h"\n', 'stack/udp/b.h': ''}, 'tcp must not include'),
    ({'stack/include/lane/a.h': '#include <lane-int/b.h>\n', 'stack/include/lane-int/b.h': ''},
     'api must not include'),
    ({'drivers/xdp/a.c': '#include "drivers/pair/b.h"\n', 'drivers/pair/b.h': ''}, 'drivers/pair'),
    ({'posix/a.c': '#include "stack/tcp/b.h"\n', 'stack/tcp/b.h': ''}, 'posix must not include'),
    ({'apps/echo/a.c': '#include "lane-int/b.h"\n', 'stack/include/lane-int/b.h': ''},
     'apps must not include'),
    ({'stack/tcp/a.c': '#include "stack/base/b.h"\n#include <stdint.h>\n', 'stack/base/b.h': ''}, None),
]

if __name__ == '__main__':
    lintlib.main(check, EXAMPLES)
