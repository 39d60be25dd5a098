"""A print house to practise on: takes batches of letters from a folder, checks them by its own code, confirms.

Owns: its reading of docs/formats/print.md, its books of what it printed, and the faults it was told to make. Does not
own: anything of the product; the two meet by the folders ``in`` and ``out`` only (an SFTP server may be before them).
Invariants: a batch is printed once, however often it arrives; what is wrong with it is refused whole, with why.

Run it with `python -m simulator.printhouse --folder var/print`, or in a test with `PrintHouse`. What it can be told is
in `control.py`.
"""

from simulator.printhouse.house import PrintHouse

__all__ = ["PrintHouse"]
