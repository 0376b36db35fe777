"""ending.py - a signal ends a Python program once, and its clean-up runs whole

timeout(1) signals twice, its child and its process group: the second one must neither interrupt the clean-up
of the first nor end the commands of it; nor must a first one that comes in a clean-up. lane_signal() of lib.sh
is the same for scripts.
"""
import signal
import sys

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def ignore_signals():
    """For clean-ups: from here on nothing interrupts them, nor the commands that they run."""
    for s in SIGNALS:
        signal.signal(s, signal.SIG_IGN)


def clean_up_on_signals():
    """From here on the first of SIGNALS that is not ignored raises SystemExit, and the rest are ignored."""
    def end(number, _):
        ignore_signals()
        sys.exit(128 + number)

    for s in SIGNALS:
        if signal.getsignal(s) != signal.SIG_IGN:
            signal.signal(s, end)
