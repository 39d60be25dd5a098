"""Messages as others would send them, and the profile's schema to hold ours and theirs against."""

from __future__ import annotations

import functools
import io
from pathlib import Path

from lxml import etree

from billing.passages.incoming import Item
from billing.passages.rules import Fault
from billing.roadside.formats import iso12855
from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.iso12855 import details

SPACE = "urn:brikke:iso12855:1"
FULL = """<billingDetails>
  <id><issuer><countryCode>NO</countryCode><providerIdentifier>FJELL</providerIdentifier></issuer><claimId>FJ-1</claimId></id>
  <charger><countryCode>NO</countryCode><providerIdentifier>FJELL</providerIdentifier></charger>
  <context>NO-TOLL</context>
  <userId>
    <pan>9578010000000000001</pan><contractSerialNumber>77</contractSerialNumber>
    <licencePlate><countryCode>NO</countryCode><plate>ÆØ 12345</plate></licencePlate>
    <obuId>00A1B2C3</obuId>
  </userId>
  <period><from>2026-03-02T08:15:00+01:00</from><to>2026-03-02T08:15:00+01:00</to></period>
  <amount><netFee>24.80</netFee><currency>NOK</currency><vatIncluded>false</vatIncluded></amount>
  <vatRate>12.00</vatRate>
  <usageDetail>
    <service>toll</service><station>S12</station><lane>3</lane><vehicleClass>1</vehicleClass>
    <time>2026-03-02T08:15:00.25+01:00</time><listPrice>31.00</listPrice><feeQualifier>standard</feeQualifier>
    <flags>tag_discount hour_rule</flags>
  </usageDetail>
  <costCentre>E18</costCentre>
  <evidence>
    <imageIds>A.jpg B.jpg</imageIds>
    <anpr><countryCode>NO</countryCode><plate>ÆØ12345</plate><confidence>98</confidence></anpr>
    <manual><countryCode>NO</countryCode><plate>ÆØ12345</plate></manual>
  </evidence>
  <action>new</action><version>3</version><issuedAt>2026-03-02T09:00:00Z</issuedAt>
</billingDetails>"""
"""Every element of the profile."""

PLAIN = (
    "<billingDetails><id><claimId>FJ-1</claimId></id>"
    "<userId><licencePlate><plate>EV12345</plate></licencePlate></userId>"
    "<amount><netFee>24.80</netFee><currency>NOK</currency></amount><vatRate>0.00</vatRate>"
    "<usageDetail><service>toll</service><station>S1</station><time>2026-03-02T08:15:00+01:00</time>"
    "<listPrice>31.00</listPrice></usageDetail></billingDetails>"
)
CANCEL = (
    "<billingDetails><id><claimId>FJ-2</claimId></id><action>cancel</action>"
    "<originalClaimId>FJ-1</originalClaimId><version>2</version></billingDetails>"
)


def provider(name: str, identifier: str, country: str = "NO") -> str:
    return f"<{name}><countryCode>{country}</countryCode><providerIdentifier>{identifier}</providerIdentifier></{name}>"


def apci(kind: str = "BillingDetails", structs: int = 1, related: str = "") -> str:
    return (
        f"<apci>{provider('originator', 'FJELL')}{provider('sender', 'HUB', 'DK')}{provider('recipient', 'BRIKKE')}"
        f"<messageIdentifier>17</messageIdentifier>{related}<type>{kind}</type>"
        f"<numberOfStructs>{structs}</numberOfStructs><date>20260302071500Z</date></apci>"
    )


def message(*structs: str, kind: str = "BillingDetails", count: int | None = None, related: str = "") -> bytes:
    header = apci(kind, len(structs) if count is None else count, related)
    body = "\n".join((header, *structs))
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<InfoExchange xmlns="{SPACE}">\n{body}\n</InfoExchange>\n'.encode()


def parse(data: bytes) -> list[Item]:
    return list(details.parse(io.BytesIO(data)))


def one(struct: str) -> Item:
    (item,) = parse(message(struct))
    return item


def fault(item: Item) -> tuple[str, str | None]:
    assert isinstance(item.sent, Fault)
    assert item.sent.reason
    return item.sent.code, item.sent.field


def broken(data: bytes) -> BrokenFile | None:
    """Return why a file is refused, by both who look at it alike; None when it is not."""
    said: list[str | None] = []
    why = None
    for look in (details.check, lambda stream: list(details.parse(stream))):
        try:
            look(io.BytesIO(data))
            said.append(None)
        except BrokenFile as error:
            why = error
            said.append(str(error))
    assert said[1] in {said[0], None}, "what breaks a file is seen before anything is booked"
    return why if said[0] else None


@functools.cache
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(Path(iso12855.__file__).with_name("profile.xsd"))))


def is_valid(data: bytes) -> bool:
    """Whether the schema takes a message, read by another reader than ours."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return schema().validate(etree.fromstring(data, parser))
