"""objects.py - the object files of a build and what they define"""
import os
import shutil
import subprocess

import lintlib


# Built from sources of others: lwIP's.
FOREIGN = 'liblwip-core.a.p'


def find(build, *dirs):
    """Paths of the objects built from sources under 'dirs' (meson puts them below TARGET.p, named by path)."""
    found = []
    for top in dirs:
        for folder, _, files in os.walk(os.path.join(build, top)):
            if os.path.basename(folder) == FOREIGN:
                continue
            found += [os.path.join(folder, f) for f in files
                      if f.endswith('.o') and not f.endswith('.bpf.o')]
    return sorted(found)


def source(path):
    """'build/stack/liblane.a.p/tcp_input.c.o' -> 'tcp_input.c'"""
    return os.path.basename(path)[:-len('.o')]


def exported(path):
    """Names of the symbols that 'path' defines for others."""
    out = lintlib.run('nm', '--defined-only', '--extern-only', '--format=posix', path,
                      stderr=subprocess.DEVNULL)
    return [line.split()[0] for line in out.split('\n') if line and len(line.split()) > 1]


def compile_example(root, path, text):
    """Compiles 'text' to root/path, for self-tests."""
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    subprocess.run([shutil.which('gcc') or 'cc', '-x', 'c', '-fPIC', '-fno-common', '-c', '-o', full, '-'],
                   input=text, text=True, check=True)
