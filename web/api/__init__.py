"""What all of HTTP shares: problem answers, headers and CORS, the OpenAPI document and its page, health and metrics.

Owns no data and no business. Rooms write their own ``api.py`` with ``config.http``; ``web/app.py`` puts it together.
"""
