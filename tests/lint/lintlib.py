"""lintlib.py - what the lint checks share: which files are ours, a self-test on bad examples

A check is a function (root, build) -> list of problems. main() first runs it on a tree of bad
examples, where it must find each problem that is expected, then on the real one.
"""
import os
import re
import subprocess
import sys
import tempfile

DIRS = ('stack', 'drivers', 'posix', 'apps', 'bench', 'tests', 'scripts', '.ci')


def sources(root, endings, dirs=DIRS):
    """Paths of our files with these endings, relative to 'root', sorted."""
    found = []
    for top in dirs:
        for folder, subdirs, files in os.walk(os.path.join(root, top)):
            subdirs[:] = [d for d in subdirs if d not in ('corpus', '__pycache__')]
            found += [os.path.relpath(os.path.join(folder, f), root)
                      for f in files if f.endswith(endings)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as f:
        return f.read()


def includes(text):
    """(line number, name) of each include in a C source."""
    return [(n, m.group(1)) for n, line in enumerate(text.split('\n'), 1)
            if (m := re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line))]


def run(*cmd, **kw):
    return subprocess.run(cmd, check=True, text=True, stdout=subprocess.PIPE, **kw).stdout


def allowed(path):
    """An allow-list: lines 'pattern reason'; a line without a reason is an error."""
    out = {}
    if not os.path.exists(path):
        return out
    for line in open(path, encoding='utf-8'):
        if not line.strip() or line.startswith('#'):
            continue
        pattern, _, reason = line.strip().partition(' ')
        if not reason:
            sys.exit(f'{path}: no reason given for {pattern}')
        out[pattern] = reason.strip()
    return out


def self_test(check, examples):
    """'examples': (files {path: text}, part of the problem that must be found or None for none)."""
    for files, expected in examples:
        with tempfile.TemporaryDirectory(prefix='lane-lint.') as root:
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, 'w', encoding='utf-8') as f:
                    f.write(text)
            problems = check(root, root)
        text = '\n'.join(problems)
        if expected is None and problems:
            sys.exit(f'self-test: a good example was refused: {text}')
        if expected is not None and expected not in text:
            sys.exit(f'self-test: "{expected}" was not found in {sorted(files)}: {text}')


def main(check, examples):
    if len(sys.argv) != 3:
        sys.exit(f'usage: {sys.argv[0]} SOURCE-ROOT BUILD-ROOT')
    self_test(check, examples)
    problems = check(sys.argv[1], sys.argv[2])
    for p in problems:
        print(p)
    sys.exit(1 if problems else 0)
