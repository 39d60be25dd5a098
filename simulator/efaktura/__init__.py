"""A stand-in for the banks' eFaktura hub: SOAP with a WS-Security user name token, consumers with consents and
agreements, shipments that are kept, statuses that move when they are told to, and every way it can fail.

`server.HubServer` in a test or demo, `python -m simulator.efaktura` as a process; `control.py` has what can be told.
"""

from simulator.efaktura.server import HubServer

__all__ = ["HubServer"]
