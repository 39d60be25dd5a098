"""The blueprint of the front page and of signing in; it also teaches all templates to write."""

from __future__ import annotations

from flask import Blueprint

from web import words

blp = Blueprint("signin", __name__)
words.teach(blp)
