"""mdeas: paired (background, composite, mask, depth) data sets, and the small network they teach."""

__version__ = "0.2.0.dev0"


class MdeasError(Exception):
    """Something the user can mend: one line saying what happened; which path or value; what to do."""
