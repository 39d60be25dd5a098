"""Settings: typed, read once from the environment and a ``.env``, wrong ones refused with one line.

``TABLE`` is the only list of them: reading, `brikke config`, `.env.example` and the documentation come from
it. The environment wins over ``.env``. Figures with a date are not settings; they live in rates.toml.
"""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from config import targets, values
from config.database import SPARE
from config.once import kept
from config.targets import Exchange, Mailbox
from config.values import Issuer, MailTarget

# The folder that `.env` and `var/` belong to: the checkout, or where one stands when Brikke is installed.
_CHECKOUT = Path(__file__).resolve().parent.parent
HOME = _CHECKOUT if (_CHECKOUT / "pyproject.toml").exists() else Path.cwd()

MEGABYTE = 1024 * 1024
HIDDEN = "***"


class SettingsError(Exception):
    """A setting is wrong or missing; the message is one line that names the variable."""


@dataclass(frozen=True)
class Setting:
    """A row of the table. ``default`` may hold ``{var}``; ``own`` means: with a database of one's own the
    default, which is a made-up company's, is not taken."""

    name: str
    read: Callable[[str], Any]
    default: str
    about: str
    secret: bool = False
    own: bool = False

    @property
    def attribute(self) -> str:
        """Return the field of Settings it fills."""
        return self.name.removeprefix("BRIKKE_").lower()


number, text, filled = values.between, values.text, values.filled

TABLE: tuple[Setting, ...] = (
    Setting("DATABASE_URL", values.database_url, "", "PostgreSQL 15+; empty: the one that comes with Brikke", True),
    Setting("BRIKKE_VAR", filled, "var", "folder for everything Brikke writes"),
    Setting("BRIKKE_HOST", filled, "127.0.0.1", "address the web server listens on"),
    Setting("BRIKKE_PORT", number(1, 65535), "8000", "port the web server listens on"),
    Setting("BRIKKE_URL", values.web_address, "", "address customers reach us at; empty: http://HOST:PORT"),
    Setting("WEB_WORKERS", number(1, 64), "2", "web server processes"),
    Setting("WEB_THREADS", number(1, 64), "8", "threads in each of them"),
    Setting("DEMO", values.yes_or_no, "false", "sign in by choosing a person; only on a loopback address"),
    Setting("SELLER_NAME", filled, "Brikke Eksempel AS", "our name, on every document", own=True),
    Setting("SELLER_ORG_NO", values.organisation, "999999980", "our organisation number", own=True),
    Setting("SELLER_ADDRESS", filled, "Eksempelveien 1, 0150 Oslo", "our postal address, with commas", own=True),
    Setting("SELLER_PHONE", filled, "+47 21 00 00 00", "telephone of support", own=True),
    Setting("SELLER_EMAIL", values.email, "support@brikke.example", "e-mail of support", own=True),
    Setting("BANK_ACCOUNT", values.bank_account, "15030012345", "account customers pay to, 11 digits", own=True),
    Setting("BANK_INBOX", filled, "{var}/bank/in", "folder that is watched for the bank's files"),
    Setting("BANK_OUTBOX", filled, "{var}/bank/out", "folder that payment orders to the bank are put in"),
    Setting("AVTALEGIRO_SENDER", values.avtalegiro_sender, "",
            "our 8-digit customer unit id at the clearing house; empty: no AvtaleGiro"),
    Setting("AVTALEGIRO_OUTBOX", filled, "{var}/bank/avtalegiro", "folder that claims to the bank are put in"),
    Setting("BANK_BIC", values.bic, "", "BIC of our bank, in payment orders; empty: the bank knows itself"),
    Setting("ROADSIDE_FOLDER", filled, "{var}/roadside", "folder of the chargers' files: CODE/in, CODE/out"),
    Setting("ROADSIDE_KEYS", filled, "{var}/roadside-keys", "folder of keys and passwords for chargers' servers"),
    Setting("EXCHANGE_TIMEOUT_SECONDS", number(1, 600), "30", "how long a charger's server may take for one step"),
    Setting("EXCHANGE_SETTLE_SECONDS", number(0, 600), "2", "how long a charger's file must stay as it is to be whole"),
    Setting("EXCHANGE_MAX_FILES", number(1, 10_000), "500", "files of a charger taken, and sent, in one look"),
    Setting("EXCHANGE_ALARM_AFTER", number(1, 100), "5", "failed attempts with a charger until it alarms"),
    Setting("MAIL_URL", values.mail_target, "folder:{var}/mailbox",
            "folder:PATH, smtp://HOST, smtps://USER:PASSWORD@HOST or smtp+starttls://USER:PASSWORD@HOST:PORT", True),
    Setting("MAIL_FROM", values.email, "faktura@brikke.example", "sender of every e-mail", own=True),
    Setting("MAIL_DOCUMENTS", values.one_of("attached", "link"), "attached",
            "how a document goes by e-mail: attached, or behind a signed link"),
    Setting("MAIL_LINK_DAYS", number(1, 480), "90", "how long such a link opens the document"),
    Setting("MAIL_UNOPENED", values.yes_or_no, "false",
            "whether a link that nobody opens (mail_unopened_days) is followed by the next channel"),
    Setting("BOUNCE_URL", targets.mailbox, "",
            "mailbox that mail to MAIL_FROM comes to, read for bounces: imaps://USER:PASSWORD@HOST/INBOX "
            "or folder:PATH (Maildir); empty: not read", True),
    Setting("PRINT_TARGET", targets.exchange, "",
            "the print house: folder:PATH or sftp://USER@HOST/PATH, with in/ and out/; empty: no paper", True),
    Setting("PRINT_HOST_KEY", targets.host_key, "", "fingerprint of the print house's server (SHA256:...)"),
    Setting("PRINT_KEY_FILE", text, "", "our private key there (mode 0600); empty: the password of PRINT_TARGET"),
    Setting("ISSUER_ID", values.provider, "NO:BRIKKE", "our country and identifier in messages with chargers"),
    Setting("STRIPE_API_KEY", text, "", "secret key of the card gateway; empty: no cards", True),
    Setting("STRIPE_PUBLISHABLE_KEY", text, "", "the gateway's key for the browser"),
    Setting("STRIPE_API_BASE", values.web_address, "", "empty: Stripe itself; else a stand-in"),
    Setting("STRIPE_WEBHOOK_SECRETS", values.comma_list, "", "what signs webhooks; two while they change", True),
    Setting("FALLBACK_CHANNELS", values.channels, "avtalegiro, efaktura, vipps, digipost, eboks, email, paper",
            "by which channels documents go, in this order, where the one that was chosen does not reach the customer"),
    Setting("CARD_RATE_PER_SECOND", number(1, 1000), "80", "requests a second to the card gateway, all hosts together"),
    Setting("CARD_CONCURRENCY", number(1, 200), "16", "requests to the card gateway a worker has under way at once"),
    Setting("VIPPS_URL", values.web_address, "", "Vipps's API, https://api.vipps.no; empty: no payments by Vipps"),
    Setting("VIPPS_CLIENT_ID", text, "", "client id of our sales unit at Vipps"),
    Setting("VIPPS_CLIENT_SECRET", text, "", "its client secret", True),
    Setting("VIPPS_SUBSCRIPTION_KEY", text, "", "its subscription key (Ocp-Apim-Subscription-Key)", True),
    Setting("VIPPS_MSN", text, "", "its merchant serial number"),
    Setting("VIPPS_WEBHOOK_SECRETS", values.comma_list, "", "what signs Vipps's webhooks; two while they change", True),
    Setting("SECRET_KEY", text, "", "signs web sessions; empty: made once, in {var}/secret.key", True),
    Setting("SEALING_KEYS", values.sealing_keys, "",
            "keys of 32 bytes in base64 that national ids are encrypted by: the first encrypts, all decrypt; "
            "empty: made once, in {var}/sealing.key", True),
    Setting("SYNTHETIC_NATIONAL_IDS", values.one_of("demo", "true", "false"), "demo",
            "take made-up national ids (for tests): true, false, or demo: with DEMO only"),
    Setting("DIGIPOST_URL", values.partner_address, "", "Digipost's API, such as https://api.digipost.no; empty: off"),
    Setting("DIGIPOST_SENDER_ID", values.sender_id, "", "our number at Digipost"),
    Setting("DIGIPOST_KEY_FILE", text, "", "private key that signs requests to Digipost: PEM or PKCS#12"),
    Setting("DIGIPOST_KEY_PASSWORD", text, "", "password of that file; empty: it has none", True),
    Setting("EBOKS_URL", values.partner_address, "", "the distributor's API for e-Boks; empty: off"),
    Setting("EBOKS_KEY", text, "", "bearer key at the distributor, or with EBOKS_TOKEN_URL the client's secret", True),
    Setting("EBOKS_TOKEN_URL", values.partner_address, "", "where OAuth2 tokens are got; empty: none are"),
    Setting("EBOKS_CLIENT_ID", text, "", "our name where tokens are got"),
    Setting("EBOKS_SCOPE", text, "", "scope to ask for there; empty: none is named"),
    Setting("EFAKTURA_URL", values.partner_address, "", "the eFaktura hub's address for issuers; empty: off"),
    Setting("EFAKTURA_USER", text, "", "our user name there (WS-Security)"),
    Setting("EFAKTURA_PASSWORD", text, "", "its password", True),
    Setting("EFAKTURA_ISSUER", text, "", "our id there as one who sends invoices"),
    Setting("EFAKTURA_TIMEOUT_SECONDS", number(1, 600), "60", "how long the hub may take to answer"),
    Setting("TOKEN_KEY_FILE", filled, "{var}/token.key", "private key of our own tokens; made when it is missing"),
    Setting("TOKEN_ISSUER", filled, "brikke", "name of ourselves in our own tokens"),
    Setting("TOKEN_AUDIENCE", filled, "brikke", "audience that every token must name"),
    Setting("TOKEN_ISSUERS", values.issuers, "", "others whose tokens are taken: ISSUER JWKS_URL, ..."),
    Setting("CORS_ORIGINS", values.origins, "", "other front ends that may call the API, with commas between"),
    Setting("MAX_BODY_BYTES", number(1024, 1024 * MEGABYTE), str(64 * MEGABYTE), "largest request"),
    Setting("MAX_BATCH_JSON", number(1, 10_000), "1000", "passages in a JSON batch"),
    Setting("MAX_BATCH_NDJSON", number(1, 1_000_000), "100000", "passages in an NDJSON batch"),
    Setting("PAGE_MAX", number(1, 1000), "200", "rows in a page of a list"),
    Setting("HTTP_TIMEOUT_SECONDS", number(1, 300), "20", "how long a partner may take to answer"),
    Setting("MAX_BANK_FILE_BYTES", number(1024, 1024 * MEGABYTE), str(64 * MEGABYTE), "largest file from the bank"),
    Setting("MAX_PASSAGE_FILE_BYTES", number(1024, 2**40), str(2048 * MEGABYTE), "largest passages file"),
    Setting("WORKER_CONCURRENCY", number(1, 64), "2", "jobs a worker runs at once"),
    Setting("DATABASE_POOL", number(1, 100), "10", "connections a process keeps to the database; ingest takes three"),
    Setting("LOG_LEVEL", values.one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "lowest level that is logged"),
    Setting("LOG_JSON", values.yes_or_no, "false", "log lines as JSON"),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Every setting, typed. Folders are absolute. Order and meaning: see TABLE."""

    database_url: str  # "" = embedded
    var: Path
    host: str
    port: int
    url: str
    web_workers: int
    web_threads: int
    demo: bool
    seller_name: str
    seller_org_no: str
    seller_address: str
    seller_phone: str
    seller_email: str
    bank_account: str
    bank_inbox: Path
    bank_outbox: Path
    avtalegiro_sender: str
    avtalegiro_outbox: Path
    bank_bic: str
    roadside_folder: Path
    roadside_keys: Path
    exchange_timeout_seconds: int
    exchange_settle_seconds: int
    exchange_max_files: int
    exchange_alarm_after: int
    mail_url: MailTarget
    mail_from: str
    mail_documents: str
    mail_link_days: int
    mail_unopened: bool
    bounce_url: Mailbox | None
    print_target: Exchange | None
    print_host_key: str
    print_key_file: str
    issuer_id: str
    stripe_api_key: str
    stripe_publishable_key: str
    stripe_api_base: str
    stripe_webhook_secrets: tuple[str, ...]
    fallback_channels: tuple[str, ...]
    card_rate_per_second: int
    card_concurrency: int
    vipps_url: str
    vipps_client_id: str
    vipps_client_secret: str
    vipps_subscription_key: str
    vipps_msn: str
    vipps_webhook_secrets: tuple[str, ...]
    secret_key: str
    sealing_keys: tuple[str, ...]
    synthetic_national_ids: str
    digipost_url: str
    digipost_sender_id: str
    digipost_key_file: str
    digipost_key_password: str
    eboks_url: str
    eboks_key: str
    eboks_token_url: str
    eboks_client_id: str
    eboks_scope: str
    efaktura_url: str
    efaktura_user: str
    efaktura_password: str
    efaktura_issuer: str
    efaktura_timeout_seconds: int
    token_key_file: Path
    token_issuer: str
    token_audience: str
    token_issuers: tuple[Issuer, ...]
    cors_origins: tuple[str, ...]
    max_body_bytes: int
    max_batch_json: int
    max_batch_ndjson: int
    page_max: int
    http_timeout_seconds: int
    max_bank_file_bytes: int
    max_passage_file_bytes: int
    worker_concurrency: int
    database_pool: int
    log_level: str
    log_json: bool

    def session_secret(self) -> str:
        """Return the key of web sessions: the setting, or one made once and kept in ``var/secret.key``."""
        if self.secret_key:
            return self.secret_key
        return kept(self.var / "secret.key", lambda: secrets.token_urlsafe(48))

    def takes_synthetic_ids(self) -> bool:
        """Say whether made-up national ids (for tests, +80 or +65 on the month) are taken as real ones are."""
        return self.demo if self.synthetic_national_ids == "demo" else self.synthetic_national_ids == "true"


def load(environ: Mapping[str, str] | None = None, dotenv_path: Path | None = None) -> Settings:
    """Read the settings. Raises SettingsError with one line naming the variable and what is wrong.

    Without arguments: this process's environment and ``.env`` beside ``var/``. Relative folders are relative
    to the ``.env``'s folder.
    """
    environ = os.environ if environ is None else environ
    dotenv_path = HOME / ".env" if dotenv_path is None else dotenv_path
    given = {name: value or "" for name, value in _dotenv(dotenv_path).items()} | dict(environ)
    home = dotenv_path.absolute().parent
    var = (home / (given.get("BRIKKE_VAR") or "var")).absolute()
    own = bool(given.get("DATABASE_URL")) and given.get("DEMO", "").strip().lower() not in {"1", "true", "yes", "on"}
    found: dict[str, Any] = {}
    for setting in TABLE:
        # An empty variable is one that is not set: that is how shells and containers unset things.
        value = given.get(setting.name, "").strip()
        if not value and setting.own and own:
            raise SettingsError(f"{setting.name} is missing ({setting.about}); with DATABASE_URL it must be set")
        try:
            found[setting.attribute] = setting.read(value or setting.default.replace("{var}", str(var)))
        except ValueError as error:
            raise SettingsError(f"{setting.name} {error}") from None
    for folder in ("bank_inbox", "bank_outbox", "roadside_folder", "roadside_keys", "token_key_file"):
        found[folder] = home / found[folder]
    found["avtalegiro_outbox"] = home / found["avtalegiro_outbox"]
    found["var"] = var
    found["digipost_key_file"] = str(home / found["digipost_key_file"]) if found["digipost_key_file"] else ""
    if found["mail_url"].folder:
        found["mail_url"] = MailTarget(folder=home / found["mail_url"].folder)
    for place in ("bounce_url", "print_target"):
        if found[place] is not None and found[place].folder is not None:
            found[place] = dataclasses.replace(found[place], folder=home / found[place].folder)
    found["url"] = found["url"] or f"http://{found['host']}:{found['port']}"
    settings = Settings(**found)
    _check_together(settings)
    return settings


def _dotenv(path: Path) -> dict[str, str | None]:
    """Return what a ``.env`` holds, {} when there is none. A name of ours that we do not know is a slip."""
    if not path.is_file():
        return {}
    held = dotenv_values(path, interpolate=False)
    known = {setting.name for setting in TABLE}
    for name in held:
        if name.startswith("BRIKKE_") and name not in known:
            raise SettingsError(f"{name} in {path.name} is not a setting; `brikke config` lists them")
    return held


def _check_together(settings: Settings) -> None:
    """Refuse values that are right each by itself and wrong together."""
    if settings.demo and not values.is_loopback(settings.host):
        raise SettingsError(
            f"DEMO lets anybody sign in as anyone, so BRIKKE_HOST must be a loopback address, not {settings.host}"
        )
    if settings.print_target is not None and settings.print_target.host:
        if not settings.print_host_key:
            raise SettingsError("PRINT_HOST_KEY is missing; with a server in PRINT_TARGET it must be set")
        if not settings.print_key_file and settings.print_target.password is None:
            raise SettingsError("PRINT_KEY_FILE is missing, and PRINT_TARGET has no password")
    if settings.stripe_api_key and not settings.stripe_webhook_secrets:
        raise SettingsError("STRIPE_WEBHOOK_SECRETS is missing; with STRIPE_API_KEY it must be set")
    _check_channels(settings)
    for name in ("CLIENT_ID", "CLIENT_SECRET", "SUBSCRIPTION_KEY", "MSN", "WEBHOOK_SECRETS"):
        if settings.vipps_url and not getattr(settings, f"vipps_{name.lower()}"):
            raise SettingsError(f"VIPPS_{name} is missing; with VIPPS_URL it must be set")
    threads = max(settings.web_threads, settings.worker_concurrency)
    if threads >= settings.database_pool + SPARE:  # as many that book at once hold one each, and none gets a second
        raise SettingsError(
            f"DATABASE_POOL must be at least {threads - SPARE + 1} with WEB_THREADS={settings.web_threads} and "
            f"WORKER_CONCURRENCY={settings.worker_concurrency}: each needs more than one connection at times"
        )
    if settings.secret_key and len(settings.secret_key) < 32:
        raise SettingsError("SECRET_KEY must have at least 32 characters")


def _check_channels(settings: Settings) -> None:
    """Refuse a channel that is half set up."""
    if settings.digipost_url:
        for name, value in (
            ("DIGIPOST_SENDER_ID", settings.digipost_sender_id),
            ("DIGIPOST_KEY_FILE", settings.digipost_key_file),
        ):
            if not value:
                raise SettingsError(f"{name} is missing; with DIGIPOST_URL it must be set")
    if settings.eboks_url and not settings.eboks_key:
        raise SettingsError("EBOKS_KEY is missing; with EBOKS_URL it must be set")
    if settings.eboks_token_url and not settings.eboks_client_id:
        raise SettingsError("EBOKS_CLIENT_ID is missing; with EBOKS_TOKEN_URL it must be set")
    if settings.efaktura_url:
        for name, value in (
            ("EFAKTURA_USER", settings.efaktura_user),
            ("EFAKTURA_PASSWORD", settings.efaktura_password),
            ("EFAKTURA_ISSUER", settings.efaktura_issuer),
        ):
            if not value:
                raise SettingsError(f"{name} is missing; with EFAKTURA_URL it must be set")


def describe(settings: Settings) -> dict[str, str | int | bool]:
    """Return every setting by its variable's name, as `brikke config` shows it: secrets hidden."""
    shown: dict[str, str | int | bool] = {}
    for setting in TABLE:
        value = getattr(settings, setting.attribute)
        if isinstance(value, MailTarget):
            shown[setting.name] = _describe_mail(value)
        elif setting.name == "DATABASE_URL" and value:
            shown[setting.name] = re.sub(
                r"password=[^&]*", f"password={HIDDEN}", re.sub(r":[^:@/]*@", f":{HIDDEN}@", value)
            )
        elif setting.secret:
            shown[setting.name] = HIDDEN if value else ""
        elif isinstance(value, tuple):
            shown[setting.name] = ", ".join(
                " ".join(dataclasses.astuple(v)) if isinstance(v, Issuer) else v for v in value
            )
        elif isinstance(value, int):
            shown[setting.name] = value
        else:
            shown[setting.name] = str(value)
    return shown


def _describe_mail(target: MailTarget) -> str:
    """Return the URL of a mail target without its password."""
    if target.folder:
        return f"folder:{target.folder}"
    scheme = {"none": "smtp", "tls": "smtps", "starttls": "smtp+starttls"}[target.security]
    who = f"{target.username}:{HIDDEN}@" if target.username else ""
    return f"{scheme}://{who}{target.host}:{target.port}"


def example() -> str:
    """Return the text of ``.env.example``: every setting with what it is and its default."""
    lines = ["# Settings of Brikke. Copy to .env and change what you need; the environment wins over it.", ""]
    for setting in TABLE:
        must = " (must be set together with DATABASE_URL)" if setting.own else ""
        lines += [
            f"# {setting.about.replace('{var}', 'var')}{must}",
            f"#{setting.name}={setting.default.replace('{var}', 'var')}",
            "",
        ]
    return "\n".join(lines)
