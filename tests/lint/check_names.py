#!/usr/bin/env python3
"""check_names.py - what the libraries export

liblane.a: each non-static symbol begins with lane_. The shim's objects: lane_, shim_ or keeper_, or a name
of libc's that it interposes. liblane-preload.so exports nothing but names of libc's.
"""
import os
import sys
import tempfile

import lintlib
import objects


def libc_names():
    names = set()
    for lib in ('libc.so.6', 'ld-linux-x86-64.so.2', 'libpthread.so.0'):
        path = lintlib.run('gcc', f'-print-file-name={lib}').strip()
        if not os.path.exists(path):
            continue
        for line in lintlib.run('nm', '-D', '--defined-only', '--format=posix', path).split('\n'):
            names.add(line.split(' ')[0].split('@')[0])
    return names


def check(root, build):
    problems, libc = [], libc_names()
    for path in objects.find(build, 'stack', 'drivers'):
        problems += [f'{objects.source(path)}: {n} does not begin with lane_'
                     for n in objects.exported(path) if not n.startswith('lane_')]
    for path in objects.find(build, 'posix'):
        problems += [f'{objects.source(path)}: {n} is neither shim_, keeper_, lane_ nor libc\'s'
                     for n in objects.exported(path)
                     if not n.startswith(('shim_', 'keeper_', 'lane_')) and n != 'shim' and n not in libc]
    for folder, _, files in os.walk(build):
        for f in files:
            if f != 'liblane-preload.so':
                continue
            out = lintlib.run('nm', '-D', '--defined-only', '--format=posix', os.path.join(folder, f))
            problems += [f'{f} exports {line.split()[0]}' for line in out.split('\n')
                         if line and line.split()[0].split('@')[0] not in libc]
    return problems


def self_test():
    cases = [('stack', 'void helper(void) {}', 'helper does not begin'),
             ('drivers', 'void xdp_open(void) {}', 'xdp_open does not begin'),
             ('posix', 'void helper(void) {}', 'helper is neither'),
             ('stack', 'void lane_f(void) {} static void g(void) {} void (*const lane_p)(void) = g;', None),
             ('posix', 'void shim_f(void) {} int accept(void) { return 0; } int __read_chk(void) {return 0;}', None)]
    for top, text, expected in cases:
        with tempfile.TemporaryDirectory(prefix='lane-lint.') as root:
            objects.compile_example(root, f'{top}/x.p/a.c.o', text)
            found = ' '.join(check(root, root))
        if (expected or '') not in found or (expected is None and found):
            sys.exit(f'self-test: expected {expected} in {top}, found {found}')
    with tempfile.TemporaryDirectory(prefix='lane-lint.') as root:
        objects.compile_example(root, 'a.o', 'void lane_f(void) {}')
        lintlib.run('gcc', '-shared', '-o', f'{root}/liblane-preload.so', f'{root}/a.o')
        if 'exports lane_f' not in ' '.join(check(root, root)):
            sys.exit('self-test: an export that is not libc\'s was not found')


if __name__ == '__main__':
    self_test()
    lintlib.main(check, [])
