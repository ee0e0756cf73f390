"""mdeas: paired (background, composite, mask, depth) data sets, and the small network they teach."""

__version__ = "0.1.0"


class MdeasError(Exception):
    """Something the user can mend: one line saying what happened; which path or value; what to do."""
