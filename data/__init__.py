"""Pictures that ship with the package, so that every command runs with no arguments."""
