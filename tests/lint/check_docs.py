#!/usr/bin/env python3
"""check_docs.py - the files and functions that the documents name exist

In docs/*.md and README.md, `path/file.c` must be there, and a `function()` behind it must be in the file named last.
"""
import os
import re

import lintlib

NAMED = re.compile(r'`([\w./-]+/[\w.-]+\.(?:c|h|py|sh|md))`|`(\w+)\(\)`')


def pages(root):
    return ['README.md'] + lintlib.sources(root, ('.md',), ('docs',))


def check(root, build):
    problems = []
    for page in pages(root):
        if not os.path.exists(os.path.join(root, page)):
            continue
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


EXAMPLES = [
    ({'docs/a.md': 'see `stack/x.c`'}, 'there is no stack/x.c'),
    ({'docs/a.md': '`stack/x.c` `lane_y()`', 'stack/x.c': 'void lane_z(void)\n'}, 'no lane_y() in stack/x.c'),
    ({'README.md': '`stack/x.c` `lane_y()` and `in_z()`', 'stack/x.c': 'void lane_y(void)\nint in_z(void)\n'}, None),
]

if __name__ == '__main__':
    lintlib.main(check, EXAMPLES)
