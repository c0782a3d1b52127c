"""Cases that do not come out right yet, with what is wrong; a line is taken away when its case does."""

OPEN: dict[str, str] = {}
