"""The front page and signing in, for My Page and the support desk alike.

Owns: ``/``, ``/signin``, ``/signout`` and the switch of language. Does not own: what a session is
(accounts.access.browser), or what people see when they are in (web.mypage, web.support).
In a demo one signs in by choosing a person; otherwise signing in is the issuer's identity provider's business.
"""

from web.signin import pages
from web.signin.blueprint import blp

__all__ = ["blp", "pages"]
