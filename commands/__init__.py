"""The subcommands of ``mdeas``, by subject, and what they share (``base``)."""
