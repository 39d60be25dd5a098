"""Settings: read once, typed, refused with one line that names the variable."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from config import settings, values
from config.settings import TABLE, SettingsError, describe, example, load

HOME = Path(__file__).resolve().parents[3]
OWN = {
    "DATABASE_URL": "postgresql://brikke:hemmelig@db.example.no:5432/brikke",
    "SELLER_NAME": "Bompenger AS",
    "SELLER_ORG_NO": "999999921",
    "SELLER_ADDRESS": "Gata 1, 0001 Oslo",
    "SELLER_PHONE": "+47 22 00 00 00",
    "SELLER_EMAIL": "hjelp@bompenger.example",
    "BANK_ACCOUNT": "1503.00.12353",
    "MAIL_FROM": "faktura@bompenger.example",
}


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_nothing_set_is_a_demo_house_on_this_machine(dotenv: Path) -> None:
    found = load({}, dotenv)
    assert found.database_url == ""
    assert found.host == "127.0.0.1"
    assert found.url == "http://127.0.0.1:8000"
    assert found.var == dotenv.parent / "var"
    assert found.bank_inbox == dotenv.parent / "var/bank/in"
    assert found.mail_url.folder == dotenv.parent / "var/mailbox"
    assert found.max_batch_json == 1000
    assert not found.demo


def test_the_environment_wins_over_the_file(dotenv: Path) -> None:
    dotenv.write_text('PAGE_MAX=50\nBRIKKE_PORT=8001 # ours\nSELLER_NAME="Ærlig AS"\n')
    found = load({"PAGE_MAX": "60"}, dotenv)
    assert (found.page_max, found.port, found.seller_name) == (60, 8001, "Ærlig AS")


def test_an_empty_variable_is_not_set(dotenv: Path) -> None:
    assert load({"PAGE_MAX": "", "DEMO": " "}, dotenv).page_max == 200


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("DATABASE_URL", "mysql://x/y", "must begin with postgresql://"),
        ("DATABASE_URL", "postgresql://host", "must name a database"),
        ("DATABASE_URL", "postgresql://host:port/x", "is not a URL"),
        ("ISSUER_ID", "BRIKKE", "such as NO:BRIKKE"),
        ("BRIKKE_PORT", "0", "between 1 and 65535"),
        ("BRIKKE_PORT", "http", "whole number"),
        ("DEMO", "maybe", "true or false"),
        ("BANK_ACCOUNT", "15030012346", "check digit"),
        ("BANK_ACCOUNT", "9710167", "11 digits"),
        ("SELLER_ORG_NO", "999999920", "organisation number"),
        ("SELLER_EMAIL", "support", "e-mail"),
        ("MAIL_URL", "mail.example.no", "must begin with"),
        ("MAIL_URL", "smtps://user:secret@", "names no host"),
        ("MAIL_URL", "smtp://user:secret@mail.example.no", "unprotected"),
        ("MAIL_URL", "smtp://mail:99999", "port"),
        ("CORS_ORIGINS", "https://my.example.no/path", "without a path"),
        ("CORS_ORIGINS", "*", "web address"),
        ("TOKEN_ISSUERS", "https://idp.example.no", "with a space between"),
        ("LOG_LEVEL", "chatty", "one of DEBUG"),
        ("SECRET_KEY", "short", "32 characters"),
        ("STRIPE_API_KEY", "sk_live_1", "STRIPE_WEBHOOK_SECRETS is missing"),
        ("MAX_BATCH_JSON", "1e3", "whole number"),
        ("DATABASE_POOL", "3", "at least 4 with WEB_THREADS=8"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(dotenv: Path, name: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value}, dotenv)
    line = str(caught.value)
    assert name.split("_", maxsplit=1)[0] in line.split(" ", maxsplit=1)[0]
    assert complaint in line
    assert "\n" not in line
    assert "secret" not in line.lower().replace("secret_key", "").replace("stripe_webhook_secrets", "")


def test_demo_is_for_this_machine_only(dotenv: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        assert load({"DEMO": "yes", "BRIKKE_HOST": host}, dotenv).demo
    for host in ("0.0.0.0", "10.0.0.1", "brikke.example.no", "::"):
        with pytest.raises(SettingsError, match=r"DEMO .* loopback"):
            load({"DEMO": "yes", "BRIKKE_HOST": host}, dotenv)


def test_with_a_database_of_ones_own_the_made_up_company_is_refused(dotenv: Path) -> None:
    assert load(OWN, dotenv).bank_account == "15030012353"
    for name in OWN:
        if name != "DATABASE_URL":
            with pytest.raises(SettingsError, match=f"{name} is missing"):
                load({key: value for key, value in OWN.items() if key != name}, dotenv)


def test_a_slip_of_the_pen_in_the_file_is_told(dotenv: Path) -> None:
    dotenv.write_text("BRIKKE_PROT=8001\n")
    with pytest.raises(SettingsError, match="BRIKKE_PROT"):
        load({}, dotenv)


def test_what_is_shown_hides_every_secret(dotenv: Path) -> None:
    secrets = {
        "STRIPE_API_KEY": "sk_live_hush1",
        "STRIPE_WEBHOOK_SECRETS": "whsec_hush2,whsec_hush3",
        "SECRET_KEY": "hush4" * 10,
        "MAIL_URL": "smtp+starttls://bruker:hush5%40@mail.example.no",
        "DATABASE_URL": "postgresql://brikke:hush6@db:5432/brikke?password=hush7",
    }
    found = load(OWN | secrets, dotenv)
    shown = describe(found)
    assert "hush" not in repr(shown)
    assert list(shown) == [setting.name for setting in TABLE]
    assert shown["MAIL_URL"] == "smtp+starttls://bruker:***@mail.example.no:587"
    assert found.mail_url.password == "hush5@"
    assert found.stripe_webhook_secrets == ("whsec_hush2", "whsec_hush3")


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    assert [setting.attribute for setting in TABLE] == list(settings.Settings.__dataclass_fields__)


def test_the_example_file_is_the_table(dotenv: Path) -> None:
    assert (HOME / ".env.example").read_text() == example()
    dotenv.write_text("\n".join(line.removeprefix("#") for line in example().splitlines() if not line.startswith("# ")))
    assert load({}, dotenv) == load({}, dotenv.with_name("none"))


def test_the_session_secret_is_made_once_for_us_alone(dotenv: Path) -> None:
    found = load({}, dotenv)
    secret = found.session_secret()
    assert len(secret) >= 32
    assert found.session_secret() == secret
    assert stat.S_IMODE((found.var / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in found.var.iterdir()] == ["secret.key"]


def test_issuers(dotenv: Path) -> None:
    text = "https://a.example https://a.example/jwks, b https://b.example/keys"
    assert load({"TOKEN_ISSUERS": text}, dotenv).token_issuers == (
        values.Issuer("https://a.example", "https://a.example/jwks"),
        values.Issuer("b", "https://b.example/keys"),
    )
