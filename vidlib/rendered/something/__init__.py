"""The world of something-mini: things on a table, hands, a camera."""
