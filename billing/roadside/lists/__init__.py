"""Status lists: what chargers are told of our tags and vehicles, and that they know.

Owns: putting changes on lists (a place each, in an order that holds whoever commits first), full and incremental
versions per charger and list type, their bytes, sending and sending again, acknowledgements, and the answer to what a
charger knew at an instant. Does not own: the changes (accounts.chargers.publish), judging by them (billing.passages),
transports other than a folder (billing.roadside.exchange), forms of other exchanges (beside ``jsonl``, see ``forms``).
Words: change (a row of publications), position (its place), version, kind (full, incremental), acknowledgement.
Invariants: versions of a (charger, type) are 1, 2, 3 … and their ranges of positions follow each other; a version's
bytes never change; what is sent again is what was sent; a version is acknowledged once.

Order of things, each a transaction of its own: ``release`` gives new changes their places → ``cut`` makes a version of
them with its bytes → it is delivered, outside of any transaction → ``sent`` → ``acknowledge``. A process killed between
two of these leaves rows that the next one goes on from.
"""
