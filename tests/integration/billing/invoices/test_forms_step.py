"""The step that gave kept pages a form: up and down with pages in the table."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from migrations.run import migrate

KEPT = "INSERT INTO renderings (document_id, template, sha256, pdf, made_at) VALUES (7, 1, sha256('a'), 'a', now())"


def test_what_was_kept_is_the_page_with_a_slip(engine: Engine) -> None:
    migrate(engine, down_to="0028")
    with engine.begin() as connection:
        connection.execute(text(KEPT))
    migrate(engine)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT document_id, template, form, pdf FROM renderings")).all() == [
            (7, 1, "transfer", b"a")
        ]
    migrate(engine, down_to="0028")
    migrate(engine)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT form, pdf FROM renderings")).all() == [("transfer", b"a")]
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(KEPT))


def test_a_page_in_another_form_is_not_lost_by_going_back(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(KEPT))
        connection.execute(text("UPDATE renderings SET form = 'avtalegiro-short'"))
    with pytest.raises(DBAPIError, match="forms"):
        migrate(engine, down_to="0028")
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM renderings")).scalar_one() == 1


def test_a_step_that_was_cut_short_goes_on(engine: Engine) -> None:
    migrate(engine, down_to="0028")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE renderings ADD COLUMN form text NOT NULL DEFAULT 'transfer'"))
        connection.execute(text("CREATE UNIQUE INDEX uq_renderings_fresh_key ON renderings (document_id)"))
    migrate(engine)
    with engine.begin() as connection:
        columns = connection.execute(
            text(
                "SELECT string_agg(a.attname, ',' ORDER BY array_position(i.indkey, a.attnum)) FROM pg_index AS i "
                "JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
                "WHERE i.indrelid = 'renderings'::regclass AND i.indisprimary"
            )
        ).scalar_one()
    assert columns == "document_id,template,form"
