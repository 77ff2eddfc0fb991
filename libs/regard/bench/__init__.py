"""Speed and memory, measured: what a mechanism costs compared with fused softmax attention and with its own plain
reference.

cases.py    what can be measured: a mechanism in a form, at a length, made ready to be called
timing.py   interleaved repeats; what a longer run would take
memory.py   the peak of memory, in a fresh process
table.py    rows and their csv files
run.py      cases in, rows out
fits.py     growth, and the length from which a mechanism pays off
targets.py  what this library promises, checked on rows
command.py  `python -m regard bench`
"""
