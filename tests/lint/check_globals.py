#!/usr/bin/env python3
"""check_globals.py - no mutable global, static or thread-local variable in stack/ and drivers/

Reads the symbol tables of the plain build (sanitizers and gcov add their own). .data.rel.ro is constant.
Exceptions stand with their reason in globals.allow, as SOURCE:SYMBOL.
"""
import os
import re
import sys
import tempfile

import lintlib
import objects

MUTABLE = re.compile(r'\.(data|bss|tdata|tbss|ldata|lbss)(\.|$)')


def mutable(path):
    """Names of the variables in writable sections of one object."""
    names = []
    for line in lintlib.run('objdump', '-t', path).split('\n'):
        m = re.match(r'[0-9a-f]+ (.{7}) (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$', line)
        if not m or m.group(1)[6] not in 'O ' or 'd' in m.group(1):
            continue
        section, size, name = m.group(2), int(m.group(3), 16), m.group(4)
        if (section == '*COM*' or MUTABLE.match(section)) and size \
                and not section.startswith('.data.rel.ro'):
            names.append(name)
    return names


def check(root, build):
    allow = lintlib.allowed(os.path.join(root, 'tests/lint/globals.allow'))
    paths = objects.find(build, 'stack', 'drivers')
    if not paths:
        return [f'no objects of stack/ and drivers/ in {build}: build first']
    return [f'{objects.source(p)}: {name} is a mutable global'
            for p in paths for name in mutable(p)
            if f'{objects.source(p)}:{name.split(".")[0]}' not in allow]


def self_test():
    good = 'static const int t[2] = {1, 2}; extern int x; int f(int i); int f(int i) { return t[i]; }\n' \
           'int g(void); int (*const table[1])(void) = {g};\n'
    bad = {'a_global': 'int a_global = 1;', 'a_static': 'static int a_static; int *f(void) { return &a_static; }',
           'in_function': 'int f(void); int f(void) { static int in_function; return ++in_function; }',
           'a_thread_local': '__thread int a_thread_local;', 'a_common': 'int a_common;'}
    with tempfile.TemporaryDirectory(prefix='lane-lint.') as root:
        if 'build first' not in ' '.join(check(root, root)):
            sys.exit('self-test: a missing build was not noticed')
        objects.compile_example(root, 'stack/x.p/good.c.o', good)
        if check(root, root):
            sys.exit(f'self-test: constants were refused: {check(root, root)}')
        for name, text in bad.items():
            objects.compile_example(root, 'stack/x.p/bad.c.o', text)
            if f'{name}' not in ' '.join(check(root, root)):
                sys.exit(f'self-test: {name} was not found')


if __name__ == '__main__':
    self_test()
    lintlib.main(check, [])
