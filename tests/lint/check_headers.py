#!/usr/bin/env python3
"""check_headers.py - each public header compiles alone, as C11 and as C++, with gcc and clang as they are there"""
import os
import shutil
import subprocess

import lintlib

WAYS = [cmd for cmd in (['gcc', '-x', 'c', '-std=c11'], ['clang', '-x', 'c', '-std=c11'],
                        ['clang', '-x', 'c++', '-std=c++11']) if shutil.which(cmd[0])]


def check(root, build):
    problems = []
    inc = os.path.join(root, 'stack/include')
    for path in lintlib.sources(root, ('.h',), ('stack/include/lane',)):
        name = os.path.relpath(path, 'stack/include')
        for cmd in WAYS:
            r = subprocess.run(cmd + ['-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-I', inc, '-'],
                               input=f'#include <{name}>\n', text=True, capture_output=True)
            if r.returncode:
                problems.append(f'{path} does not compile alone by {" ".join(cmd)}:\n{r.stderr}')
    return problems


EXAMPLES = [
    ({'stack/include/lane/a.h': 'uint32_t f(void);\n'}, 'does not compile alone by gcc'),
    ({'stack/include/lane/a.h': 'static inline int *f(void *new) { return (int *)new; }\n'},
     'clang -x c++'),
    ({'stack/include/lane/a.h': '#include <stdint.h>\nuint32_t f(void);\n'}, None),
]

if __name__ == '__main__':
    lintlib.main(check, EXAMPLES)
