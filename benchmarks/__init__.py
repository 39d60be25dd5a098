"""How fast Brikke is, against floors: the same rows written by the plainest SQL the database has.

``python -m benchmarks`` runs every benchmark, each in a process of its own, and prints a table; ``var/bench.json``
gets the same as a list of ``{name, rate, unit, floor, ratio, peak_mb}``. A module of this folder that has a
``BENCHES`` mapping (name → function of a ``frame.Place``) is found by itself; names in ``LARGE`` of such a module
run only with ``--large``; ``ALSO`` maps the other names of results to the benchmark that measures them.
"""
