"""Who sells, as it stands on a document: taken from the settings when it is issued, kept with it."""

from __future__ import annotations

from config.settings import Settings


def seller_of(settings: Settings) -> dict[str, str]:
    """Return the seller for documents issued now.

    Keys: name, org_no (nine digits), address (lines with commas between), phone, email, account (11 digits).
    """
    return {
        "name": settings.seller_name,
        "org_no": settings.seller_org_no,
        "address": settings.seller_address,
        "phone": settings.seller_phone,
        "email": settings.seller_email,
        "account": settings.bank_account,
    }
