#!/usr/bin/env python3
"""check_sizes.py - no function above 70 lines, no file above 600"""
import lintlib

FUNCTION, FILE = 70, 600


def functions(text):
    """(line, lines) of each C function: Linux braces, so it opens by '{' and ends by '}' alone in
    column 0; its signature begins behind the last line that is empty or ends something else."""
    start = None
    lines = text.split('\n')
    for n, line in enumerate(lines):
        if line == '{':
            start = n
            while start and lines[start - 1] and not lines[start - 1].endswith((';', '}', '*/')) \
                    and not lines[start - 1].startswith('#'):
                start -= 1
        elif line == '}' and start is not None:
            yield start + 1, n - start + 1
            start = None


def check(root, build):
    problems = []
    for path in lintlib.sources(root, ('.c', '.h', '.py', '.sh')):
        text = lintlib.read(root, path)
        lines = text.count('\n')
        if lines > FILE:
            problems.append(f'{path}: {lines} lines, more than {FILE}')
        if path.endswith(('.c', '.h')):
            problems += [f'{path}:{line}: function of {size} lines, more than {FUNCTION}'
                         for line, size in functions(text) if size > FUNCTION]
    return problems


EXAMPLES = [
    ({'stack/a.c': 'int f(void)\n{\n' + '\tx();\n' * 68 + '}\n'}, 'function of 71 lines'),
    ({'stack/a.c': 'int g;\n\nint f(int a,\n      int b)\n{\n' + '\tx();\n' * 67 + '}\n'},
     'a.c:3: function of 71'),
    ({'stack/a.c': 'int f(void)\n{\n' + '\tx();\n' * 67 + '}\n'}, None),
    ({'tests/a.py': 'pass\n' * 601}, 'more than 600'),
]

if __name__ == '__main__':
    lintlib.main(check, EXAMPLES)
