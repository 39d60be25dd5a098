"""Whether a card is a business card, as far as Stripe tells.

No field says so. `card.brand_product` holds the card network's product code (Visa and Mastercard only, and
only where Stripe has it); `card.description` names the product in words on accounts where it is switched on.
Source of the codes: https://docs.stripe.com/card-product-codes. A code in neither list is "unknown", never
"consumer": the fee of a commercial card is decided by what is known, else by the holder's own word.
"""

from __future__ import annotations

import re

from billing.cards.gateway import Segment


def _codes(table: str) -> frozenset[str]:
    return frozenset(table.split())


# Business, corporate, purchasing, fleet, government, agriculture, marketplace, B2B.
_VISA_COMMERCIAL = _codes("G G1 G2 G3 G4 G5 GV K K1 S S1 S2 S3 S4 S5 S6 S7 DS X X1")
_VISA_CONSUMER = _codes("A B B1 C D F F2 F3 I I1 I2 L N N1 N2 P U V")

_MASTERCARD_COMMERCIAL = _codes(
    """
    BPC BPD DBS DLA DLD MAB MAC MAJ MAP MAQ MBA MBD MBE MBP MBS MCB MCF MCO MCP MDB MDL MDT MEB MEC MEF MEO
    MES MGF MLA MLD MLF MLL MNF MPB MPK MPW MRB MRK MRL MRW MSB MSI MSW MWB MWO OLB SBP TBE TCB TCF TCO TCP
    TEB TEC TEO TNF TPB
    """
)
# Numbered B2B products and B2B VIP come in runs of letters: MT?, MV?, FI?, WA?, WB?.
_MASTERCARD_B2B = re.compile(r"MT[A-OQ-Z]|MV[A-Z]|FI[A-H]|WA[A-Z]|WB[A-DF-L]|MB[GHIJLNOQRTUVXYZ]|MW[ACDGH]")
_MASTERCARD_CONSUMER = _codes(
    """
    DAG DAP DAS DLG DLH DLP DLS DOS MBK MBW MCC MCE MCG MCH MCS MCT MCW MDA MDG MDH MDJ MDO MDP MDS MDW MET
    MFB MFD MFE MFH MFL MFW MKA MKB MKC MKD MKE MKF MKG MKH MNW MOG MOP MOW MPL MUW MWE MWJ MWK MWL MXG OLG
    OLP OLS OLW TCC TCE TCG TCS TCW TNW TPL TWB WBE
    """
)

_COMMERCIAL_WORDS = re.compile(
    r"\b(business|businesscard|corporate|commercial|purchasing|fleet|b2b|government|enterprise)\b", re.IGNORECASE
)


def segment_of(brand: str, brand_product: str | None, description: str | None) -> Segment:
    """Return what the product code, else the product's description, says about the card.

    >>> segment_of("visa", "G", None), segment_of("mastercard", "MCW", None), segment_of("visa", None, None)
    ('commercial', 'consumer', 'unknown')
    """
    code = (brand_product or "").strip().upper()
    if brand == "visa" and code in _VISA_COMMERCIAL:
        return "commercial"
    if brand == "visa" and code in _VISA_CONSUMER:
        return "consumer"
    if brand == "mastercard" and (code in _MASTERCARD_COMMERCIAL or _MASTERCARD_B2B.fullmatch(code)):
        return "commercial"
    if brand == "mastercard" and code in _MASTERCARD_CONSUMER:
        return "consumer"
    if description and _COMMERCIAL_WORDS.search(description):
        return "commercial"
    return "unknown"
