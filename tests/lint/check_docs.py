#!/usr/bin/env python3
"""check_docs.py - the files and functions that the documents name exist

In docs/*.md and README.md, `path/file.c` must be there, and a `function()` behind it must be in the file named last.
In a table with the columns HEAD each row names a file of the code, and tests that exist and are built.
"""
import os
import re

import lintlib

NAMED = re.compile(r'`([\w./-]+/[\w.-]+\.(?:c|h|py|sh|md))`|`(\w+)\(\)`')


HEAD = '| RFC, section | what | function | test | deviation |'


def is_test(root, name):
    """'rto_test' is a unit test in its folder's list, 'e2e/flood' a file, 'sim' a folder of tests/; 'all' are all."""
    if not name.endswith('_test'):
        return name == 'all' or any(os.path.exists(os.path.join(root, 'tests', name + end)) for end in ('', '.c', '.sh'))
    files = [f for f in lintlib.sources(root, ('.c',), ('tests/unit',)) if os.path.basename(f) == name + '.c']
    return any(re.search(rf"['/]{name.removesuffix('_test')}'", lintlib.read(root, os.path.join(os.path.dirname(f), 'meson.build')))
               for f in files)


def rows(root, page):
    """Problems of the tables with the columns HEAD."""
    problems, inside = [], False
    for line in lintlib.read(root, page).split('\n'):
        inside = line == HEAD or inside and line.startswith('|')
        if not inside or line == HEAD or line.startswith('|---'):
            continue
        cells = [c.strip() for c in line.strip('|').split('|')]
        what = f'{page}: row "{" ".join(cells[:2])[:50]}"'
        if len(cells) != 5 or not all(cells):
            problems.append(f'{what} has not five cells')
        elif not re.search(r'`(stack|drivers)/[\w./-]+`', cells[2]):
            problems.append(f'{what} names no file of the code')
        else:
            problems += [f'{what}: there is no test {t}' for t in cells[3].split(', ') if not is_test(root, t)]
    return problems


def pages(root):
    return ['README.md'] + lintlib.sources(root, ('.md',), ('docs',))


def check(root, build):
    problems = []
    for page in pages(root):
        if not os.path.exists(os.path.join(root, page)):
            continue
        problems += rows(root, page)
        last = None
        for m in NAMED.finditer(lintlib.read(root, page)):
            path, function = m.groups()
            if path:
                last = path if os.path.exists(os.path.join(root, path)) else None
                if not last:
                    problems.append(f'{page}: there is no {path}')
            elif last and not re.search(rf'\b{function}\(', lintlib.read(root, last)):
                problems.append(f'{page}: there is no {function}() in {last}')
    return problems


TABLE = {'docs/a.md': HEAD + '\n|---|\n| 1 | a thing | `stack/x.c` | x_test, e2e/x, sim | - |\n', 'stack/x.c': 'int x;\n',
         'tests/unit/a/x_test.c': '\n', 'tests/unit/a/meson.build': "foreach t : ['x']\n", 'tests/e2e/x.sh': '\n',
         'tests/sim/main.c': '\n'}

EXAMPLES = [
    (TABLE, None),
    (TABLE | {'tests/unit/a/meson.build': "['y']\n"}, 'there is no test x_test'),
    ({'docs/a.md': HEAD + '\n| 1 | a | `stack/x.c` | e2e/y | - |\n', 'stack/x.c': '\n'}, 'there is no test e2e/y'),
    ({'docs/a.md': HEAD + '\n| 1 | a | x() | all | - |\n'}, 'names no file'),
    ({'docs/a.md': HEAD + '\n| 1 | a | `stack/x.c` | all |\n', 'stack/x.c': '\n'}, 'not five cells'),
    ({'docs/a.md': 'see `stack/x.c`'}, 'there is no stack/x.c'),
    ({'docs/a.md': '`stack/x.c` `lane_y()`', 'stack/x.c': 'void lane_z(void)\n'}, 'no lane_y() in stack/x.c'),
    ({'README.md': '`stack/x.c` `lane_y()` and `in_z()`', 'stack/x.c': 'void lane_y(void)\nint in_z(void)\n'}, None),
]

if __name__ == '__main__':
    lintlib.main(check, EXAMPLES)
